/* The app of every measurement: reports its pid into a FIFO and waits for its end. Static and tiny, so that what is
 * measured is the manager. */
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int fifo = argc > 1 ? open(argv[1], O_WRONLY) : -1;
    uint64_t message[2] = {(uint64_t)getpid(), 0};
    if (fifo < 0 || write(fifo, message, sizeof message) != sizeof message) return 1;
    close(fifo);
    for (;;) pause();
}
