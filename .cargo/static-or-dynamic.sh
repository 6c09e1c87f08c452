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
# Builds for a named target stand in target/<triple>/; everybody looks for the program in target/{debug,release}/.
output=
is_next=
is_library=
for arg do
    [ -z "$is_next" ] || output=$arg
    is_next=
    case $arg in
    -o) is_next=yes ;;
    -shared) is_library=yes ;;
    esac
done
case $is_library$output in
*/target/*/*/deps/pm-*)
    profile=${output%/deps/*}
    triple=${profile%/*}
    profile=${profile##*/}
    mkdir -p "${triple%/*}/$profile"
    ln -sfn "../${triple##*/}/$profile/pm" "${triple%/*}/$profile/pm"
    ;;
esac
exec cc "$@"
