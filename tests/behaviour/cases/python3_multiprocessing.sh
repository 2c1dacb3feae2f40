# python3 with fork and spawn workers.
# needs: python3
# run:
cat > m.py <<'X'
import multiprocessing as mp
def f(x): return x * x
if __name__ == "__main__":
    for way in ("fork", "spawn"):
        with mp.get_context(way).Pool(2) as pool: print(way, pool.map(f, range(5)))
X
python3 -B m.py
