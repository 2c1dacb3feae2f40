# A Go program that links libc through cgo, with goroutines and a panic.
# needs: go gcc
# prepare:
cat > m.go <<'X'
package main
// #include <stdlib.h>
import "C"
import ("fmt"; "os"; "os/exec")
func main() {
  done := make(chan int); go func() { done <- int(C.abs(-7)) }(); fmt.Println(<-done)
  out, _ := exec.Command("/bin/echo", "sub").Output(); fmt.Print(string(out))
  os.Exit(11)
}
X
GOCACHE=$PWD/.c GOFLAGS=-mod=mod CGO_ENABLED=1 go build -o m m.go; chmod -R u+w .c; rm -rf .c
# run:
./m; echo "status $?"
