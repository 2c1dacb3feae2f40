# The JVM: its own signal handlers, threads and shutdown hook.
# needs: java javac
# prepare:
cat > Hello.java <<'X'
public class Hello {
  public static void main(String[] a) throws Exception {
    Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("hook")));
    System.out.println("hello " + new ProcessBuilder("/bin/echo", "x").start().waitFor());
    System.exit(3);
  }
}
X
javac Hello.java
# run:
java -Xshare:auto -XX:+UseSerialGC -cp . Hello
echo "status $?"
