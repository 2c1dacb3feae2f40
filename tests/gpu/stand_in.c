/* Stands for libcuda.so.1 where there is no GPU: a context is the open device file. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>

int cuInit(unsigned flags) { return flags != 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuMemAlloc_v2(unsigned long long *memory, size_t bytes) { *memory = bytes; return 0; }
int cuMemsetD8_v2(unsigned long long memory, unsigned char value, size_t bytes)
{
    return !memory || !value || !bytes;
}
int cuCtxCreate_v2(void **context, unsigned flags, int device)
{
    /* The file has no driver behind it: it can be held open by its name alone. */
    *context = NULL;
    return flags || device || open(getenv("GPU_STAND_IN"), O_PATH) < 0;
}
