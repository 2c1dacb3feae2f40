# C++ exceptions through shared objects, and one that nobody catches.
# needs: g++
# prepare:
cat > l.cpp <<'X'
#include <stdexcept>
void thrower(int n) { if (n == 0) throw std::runtime_error("deep"); thrower(n - 1); }
X
cat > m.cpp <<'X'
#include <iostream>
#include <stdexcept>
void thrower(int);
struct Static { Static() { std::cout << "constructed\n"; } ~Static() { std::cout << "destroyed\n"; } } s;
int main(int c, char **) { try { thrower(20); } catch (const std::exception &e) { std::cout << e.what() << "\n"; } if (c > 1) throw 1; return 3; }
X
g++ -shared -fPIC l.cpp -o libl.so; g++ m.cpp -o m -L. -ll -Wl,-rpath,'$ORIGIN'
# run:
./m; echo "status $?"; ulimit -c 0; ./m x; echo "status $?"
