/* The least that starting argv[1] children can cost: vfork and exec, nothing else. */
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 4) return 1;
    for (int left = atoi(argv[1]); left > 0; left--) {
        pid_t pid = vfork();
        if (pid < 0) return 2;
        if (pid == 0) {
            execl(argv[2], argv[2], argv[3], (char *)0);
            _exit(127);
        }
    }
    return 0;
}
