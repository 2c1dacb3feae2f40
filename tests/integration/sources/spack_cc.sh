#!/bin/sh
# A double of Spack's compiler wrapper: what that is documented to do to a command line and to the
# environment, in the same order, and nothing else of Spack. Called as cc, c++, fc or ld; the mode
# follows from the name and the arguments.
set -f
tab='	'

command=${0##*/}
case $command in
cc) command=$SPACK_CC target=$SPACK_TARGET_ARGS_CC mode= ;;
c++) command=$SPACK_CXX target=$SPACK_TARGET_ARGS_CXX mode= ;;
fc) command=$SPACK_FC target=$SPACK_TARGET_ARGS_FORTRAN mode= ;;
ld) target= mode=ld ;;
esac
for word in "$@"; do
    case $word in
    -v | -V | --version | -dumpversion) mode=vcheck && break ;;
    -E) mode=${mode:-cpp} ;;
    -S) mode=${mode:-as} ;;
    -c) mode=${mode:-cc} ;;
    esac
done
mode=${mode:-ccld}

# Its own folders, the working directory and empty entries are removed from PATH: it must not find
# itself.
path=
IFS=:
for dir in $PATH; do
    case :$SPACK_COMPILER_WRAPPER_PATH:.:: in *":$dir:"*) continue ;; esac
    path=${path:+$path:}$dir
done
unset IFS
export PATH="$path"

[ "$mode" = vcheck ] && exec "$command" "$@"

# Search paths of the line come before Spack's, and all of them before everything else.
includes= libs= rpaths= others=
add() { eval "$1=\${$1:+\$$1\$tab}\$2"; }
for word in "$@"; do
    case $word in
    -I?*) add includes "$word" ;;
    -L?*) add libs "$word" ;;
    -Wl,-rpath,?*) add rpaths "${word#-Wl,-rpath,}" ;;
    *) add others "$word" ;;
    esac
done
IFS=:
for dir in $SPACK_STORE_INCLUDE_DIRS; do add includes "-I$dir"; done
for dir in $SPACK_STORE_LINK_DIRS; do add libs "-L$dir"; done
for dir in $SPACK_STORE_RPATH_DIRS; do add rpaths "$dir"; done
IFS=$tab
line=
case $mode in cc | ccld) for word in $target; do add line "$word"; done ;; esac
case $mode in ld) ;; *) for word in $includes; do add line "$word"; done ;; esac
for word in $libs; do add line "$word"; done
case $mode in
ccld)
    add line -Wl,--disable-new-dtags
    for dir in $rpaths; do add line "-Wl,-rpath,$dir"; done
    ;;
ld)
    add line --disable-new-dtags
    for dir in $rpaths; do add line "-rpath" && add line "$dir"; done
    ;;
esac
for word in $others; do add line "$word"; done
case $mode in ccld | ld) for lib in $SPACK_LDLIBS; do add line "$lib"; done ;; esac
exec $SPACK_CCACHE_BINARY "$command" $line
