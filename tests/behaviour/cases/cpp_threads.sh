# C++ threads, thread_local destructors, static destructors.
# needs: g++
# prepare:
cat > p.cc <<'X'
#include <cstdio>
#include <stdexcept>
#include <thread>
struct D { const char *n; ~D() { puts(n); fflush(stdout); } };
static D d{"static"}; thread_local D t{"thread"};
int main() { std::thread([] { t.n = "in thread"; try { throw std::runtime_error("x"); } catch (std::exception &e) { puts(e.what()); } }).join(); t.n = "in main"; return 4; }
X
g++ p.cc -o p -pthread
# run:
./p; echo "status $?"
