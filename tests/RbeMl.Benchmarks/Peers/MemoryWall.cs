using System.Diagnostics;
using System.Numerics;
using System.Runtime.InteropServices;

namespace RbeMl.Benchmarks.Peers;

/// <summary>How long it takes to read so many bytes of memory and to do nothing with them.</summary>
internal static class MemoryWall
{
    private const int Rounds = 9;

    /// <summary>Milliseconds of the fastest of some rounds.</summary>
    /// <param name="bytes">Bytes.</param>
    /// <param name="threads">Threads, each with a stretch of its own.</param>
    public static unsafe double Milliseconds(long bytes, int threads)
    {
        nuint part = (nuint)(bytes / threads / 1024 * 1024);
        byte* memory = (byte*)NativeMemory.AlignedAlloc(part * (nuint)threads, 64);
        try
        {
            NativeMemory.Fill(memory, part * (nuint)threads, 1);
            nint start = (nint)memory;
            double least = double.PositiveInfinity;
            ulong[] sums = new ulong[threads];
            for (int round = 0; round < Rounds; round++)
            {
                Stopwatch watch = Stopwatch.StartNew();
                Parallel.For(0, threads, new ParallelOptions { MaxDegreeOfParallelism = threads }, t => sums[t] += Sum((byte*)start + ((nuint)t * part), part));
                least = Math.Min(least, watch.Elapsed.TotalMilliseconds);
            }

            return sums.All(sum => sum > 0) ? least : throw new InvalidDataException("The sums of what was read are wrong.");
        }
        finally
        {
            NativeMemory.AlignedFree(memory);
        }
    }

    private static unsafe ulong Sum(byte* memory, nuint bytes)
    {
        int step = Vector<ulong>.Count * sizeof(ulong);
        Vector<ulong> a = default, b = default, c = default, d = default;
        for (nuint i = 0; i + (nuint)(4 * step) <= bytes; i += (nuint)(4 * step))
        {
            ulong* at = (ulong*)(memory + i);
            a += Vector.Load(at);
            b += Vector.Load(at + Vector<ulong>.Count);
            c += Vector.Load(at + (2 * Vector<ulong>.Count));
            d += Vector.Load(at + (3 * Vector<ulong>.Count));
        }

        return Vector.Sum(a + b + c + d);
    }
}
