/* The least that starting argv[1] children can cost: vfork and exec, nothing else. With a fourth argument it then waits
 * for a byte on standard input, and ends with its children stopped: one signal and one wait for each. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 4) return 1;
    int count = atoi(argv[1]);
    pid_t *pids = calloc(count + 1, sizeof *pids);
    for (int at = 0; at < count; at++) {
        pid_t pid = vfork();
        if (pid < 0) return 2;
        if (pid == 0) {
            execl(argv[2], argv[2], argv[3], (char *)0);
            _exit(127);
        }
        pids[at] = pid;
    }
    char byte;
    if (argc < 5 || read(0, &byte, 1) != 1) return 0;
    for (int at = 0; at < count; at++) kill(pids[at], SIGTERM);
    for (int at = 0; at < count; at++) waitpid(pids[at], 0, 0);
    return 0;
}
