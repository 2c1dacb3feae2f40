#include <iostream>
#include <string>

unsigned long pressed(const std::string &text);

int main(int count, char **words) {
    for (int i = 1; i < count; i++) std::cout << pressed(words[i]) << '\n';
    return 0;
}
