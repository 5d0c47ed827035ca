/* Shifts CLOCK_REALTIME by the number of seconds in the file that CLOCK_OFFSET names. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int outcome = real(clock, time);
    if (clock == CLOCK_REALTIME && getenv("CLOCK_OFFSET")) {
        char text[32] = {0};
        int file = open(getenv("CLOCK_OFFSET"), O_RDONLY);
        if (file >= 0) {
            if (read(file, text, sizeof text - 1) > 0) time->tv_sec += atol(text);
            close(file);
        }
    }
    return outcome;
}
