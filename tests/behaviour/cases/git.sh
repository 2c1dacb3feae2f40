# git: init, commit with fixed dates, log, a hook, a diff through a pager.
# needs: git
# run:
export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z' GIT_CONFIG_NOSYSTEM=1
git init -q -b main r; cd r; git config user.name n; git config user.email e@example.org; git config core.pager cat
printf '#!/bin/sh\necho hook\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit
echo a > f; git add f; git commit -qm one; echo b >> f; git diff; git log --format='%H %s'; git frobnicate; echo "status $?"
rm -rf .git/index
