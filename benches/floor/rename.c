/* The least that one durable change of a file can cost: write, sync, rename, sync the folder. argv[1] = the folder. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char text[20000];
    memset(text, 'x', sizeof text);
    if (argc < 2 || chdir(argv[1]) != 0) return 1;
    int file = open("new", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || write(file, text, sizeof text) != sizeof text || fsync(file) != 0) return 2;
    int folder = open(".", O_RDONLY | O_DIRECTORY);
    return rename("new", "state") == 0 && fsync(folder) == 0 ? 0 : 3;
}
