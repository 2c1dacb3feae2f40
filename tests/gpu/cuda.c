/* Computes on the first GPU by the driver's interface, or only loads it: cuda did|could. */
#include <stdio.h>
#include <unistd.h>

int cuInit(unsigned flags);
int cuDeviceGet(int *device, int ordinal);
int cuCtxCreate_v2(void **context, unsigned flags, int device);
int cuMemAlloc_v2(unsigned long long *memory, size_t bytes);
int cuMemsetD8_v2(unsigned long long memory, unsigned char value, size_t bytes);

static int fails(const char *call, int status)
{
    if (status)
        fprintf(stderr, "%s: error %d\n", call, status);
    return status;
}

int main(int argc, char **argv)
{
    int device = 0;
    void *context;
    unsigned long long memory;
    if (argc > 1 && argv[1][0] == 'd'
        && (fails("cuInit", cuInit(0)) || fails("cuDeviceGet", cuDeviceGet(&device, 0))
            || fails("cuCtxCreate", cuCtxCreate_v2(&context, 0, device))
            || fails("cuMemAlloc", cuMemAlloc_v2(&memory, 1 << 20))
            || fails("cuMemsetD8", cuMemsetD8_v2(memory, 1, 1 << 20))))
        return 1;
    /* The observer looks at an age of two seconds. */
    sleep(4);
    return 0;
}
