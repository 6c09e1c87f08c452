/* Writes argv[2] bytes in writes of argv[3] bytes, lines of 100 bytes, to standard output; then reports the
 * nanoseconds that took and waits for its end. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc < 4) return 1;
    size_t left = strtoull(argv[2], 0, 10), chunk = strtoull(argv[3], 0, 10);
    char *text = malloc(chunk);
    memset(text, 'x', chunk);
    for (size_t at = 99; at < chunk; at += 100) text[at] = '\n';
    uint64_t began = now();
    while (left) {
        ssize_t written = write(1, text, left < chunk ? left : chunk);
        if (written <= 0) return 2;
        left -= (size_t)written;
    }
    uint64_t message[2] = {(uint64_t)getpid(), now() - began};
    int fifo = open(argv[1], O_WRONLY);
    if (fifo < 0 || write(fifo, message, sizeof message) != sizeof message) return 1;
    close(fifo);

    for (;;) pause();
}
