/* An app with a port: answers every request with 200, and reports its pid into a FIFO once it listens. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    char request[4096];
    const char *port = getenv("PORT");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (argc < 2 || !port) return 1;
    address.sin_port = htons((uint16_t)atoi(port));
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64)) return 2;
    int fifo = open(argv[1], O_WRONLY);
    uint64_t message[2] = {(uint64_t)getpid(), 0};
    if (fifo < 0 || write(fifo, message, sizeof message) != sizeof message) return 3;
    close(fifo);
    for (;;) {
        int peer = accept(listener, 0, 0);
        if (peer < 0) continue;
        if (read(peer, request, sizeof request) > 0 && write(peer, answer, sizeof answer - 1) < 0) return 4;
        close(peer);
    }
}
