#!/bin/sh
# The linker of .cargo/config.toml: static where this machine has a static C library, dynamic where not.
if [ "$(cc -print-file-name=libc.a)" = libc.a ]; then
    # Not found (`cc` answers with the bare name): take out what asks for static libraries.
    for arg do
        shift
        case $arg in
        -static | -Wl,-Bstatic) ;;
        *) set -- "$@" "$arg" ;;
        esac
    done
fi
exec cc "$@"
