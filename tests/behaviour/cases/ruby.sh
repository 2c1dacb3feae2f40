# ruby: threads, fork, a system call of a command, an exit block.
# needs: ruby
# run:
ruby -e 'Thread.new { puts 1 }.join; pid = fork { exit! 3 }; Process.wait pid; puts $?.exitstatus; $stdout.flush; system("echo sub"); at_exit { puts :bye }; exit 4'; echo "status $?"
