#include <string>
#include <vector>
#include <zlib.h>

unsigned long pressed(const std::string &text) {
    uLongf bytes = compressBound(text.size());
    std::vector<Bytef> out(bytes);
    compress(out.data(), &bytes, reinterpret_cast<const Bytef *>(text.data()), text.size());
    return bytes;
}
