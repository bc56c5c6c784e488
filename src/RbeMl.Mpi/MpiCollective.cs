using System.Globalization;
using RbeMl.Training;

namespace RbeMl.Mpi;

/// <summary>
/// The ranks that <c>mpirun</c> or <c>srun</c> started, connected by the MPI library that belongs to it, Open MPI or MPICH. The library is loaded
/// when it is asked for, and nothing is linked to it. A process joins once.
/// </summary>
public sealed unsafe class MpiCollective : ICollective, IDisposable
{
    private const int AnyThread = 2; // MPI_THREAD_SERIALIZED
    private static int s_joined;
    private readonly MpiLibrary _library;
    private readonly int[] _sendPlaces, _receivePlaces;
    private bool _ended;

    private MpiCollective(MpiLibrary library, MpiLauncher launcher)
    {
        (_library, LocalSize) = (library, launcher.LocalSize);
        (Rank, Size) = library.Place();
        Description = library.Version();
        (_sendPlaces, _receivePlaces) = (new int[Size], new int[Size]);
    }

    /// <summary>Whether a launcher of MPI started this process as one of several.</summary>
    public static bool IsLaunched => MpiLauncher.Here() is { Size: > 1 };

    /// <inheritdoc/>
    public int Rank { get; }

    /// <inheritdoc/>
    public int Size { get; }

    /// <summary>Ranks on this machine; 1 where the launcher does not tell.</summary>
    public int LocalSize { get; }

    /// <inheritdoc/>
    public string Description { get; }

    /// <summary>Loads MPI and joins the other ranks. All of them must.</summary>
    /// <exception cref="DistributedException">No launcher is seen, its library is missing or of another MPI, or this process has joined before.</exception>
    public static MpiCollective Join()
    {
        MpiLauncher launcher = MpiLauncher.Here() ?? throw new DistributedException(null,
            "no launcher of MPI is seen. Start the program with one, such as mpirun -np 4 --bind-to none rbeml finetune ..., or without MPI.");
        MpiLibrary library = MpiLibrary.Load(launcher.Kind, Environment.GetEnvironmentVariable(MpiLibrary.Variable));
        if (Interlocked.Exchange(ref s_joined, 1) != 0)
        {
            throw new DistributedException(null, "this process has joined the ranks of MPI before, which it can do once. Keep what Join gave.");
        }

        int level = library.Initialize(AnyThread);
        MpiCollective joined = new(library, launcher);
        if (joined.Size != launcher.Size)
        {
            string found = joined.Description;
            joined.Dispose();
            throw new DistributedException(null, string.Create(CultureInfo.InvariantCulture,
                $"{MpiLibrary.Launcher(launcher.Kind)} started {launcher.Size} processes, and {found} ({library.Name}) sees {joined.Size}: launcher and "
                    + $"library are of different MPIs. Set {MpiLibrary.Variable} to the library of the launcher, or start with the launcher of the library."));
        }

        if (level >= AnyThread) return joined;
        string alone = joined.Description;
        joined.Dispose();
        throw new DistributedException(null, $"{alone} serves one thread alone. Use a build of it with support of threads.");
    }

    /// <summary>
    /// Joins, does something, and leaves. An error is written to standard error with its rank and ends the job of all ranks, which would wait for this one
    /// otherwise.
    /// </summary>
    /// <param name="body">Does it, given what this rank sees.</param>
    /// <exception cref="DistributedException">It cannot join.</exception>
    public static void Run(Action<ICollective> body)
    {
        ArgumentNullException.ThrowIfNull(body);
        using MpiCollective joined = Join();
        try
        {
            body(joined);
        }
        catch (Exception error)
        {
            Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"rank {joined.Rank}: {error}"));
            joined.Abort(error.Message);
            throw;
        }
    }

    /// <inheritdoc/>
    public void AllToAll(ReadOnlySpan<byte> send, ReadOnlySpan<int> sendCounts, Span<byte> receive, ReadOnlySpan<int> receiveCounts)
    {
        ObjectDisposedException.ThrowIf(_ended, this);
        Places(sendCounts, _sendPlaces, send.Length);
        Places(receiveCounts, _receivePlaces, receive.Length);
        byte none = 0; // an address where there is nothing to send or receive
        fixed (byte* from = send, to = receive)
        fixed (int* counts = sendCounts, places = _sendPlaces, expected = receiveCounts, into = _receivePlaces)
        {
            _library.AllToAll(from == null ? &none : from, counts, places, to == null ? &none : to, expected, into);
        }
    }

    /// <inheritdoc/>
    public void AllGather(Span<byte> all, ReadOnlySpan<int> counts)
    {
        ObjectDisposedException.ThrowIf(_ended, this);
        Places(counts, _sendPlaces, all.Length);
        byte none = 0;
        fixed (byte* bytes = all)
        fixed (int* count = counts, places = _sendPlaces) _library.AllGather(bytes == null ? &none : bytes, count, places);
    }

    /// <inheritdoc/>
    public void AllReduceSum(Span<float> values)
    {
        ObjectDisposedException.ThrowIf(_ended, this);
        float none = 0;
        fixed (float* sums = values) _library.AllReduceSum(sums == null ? &none : sums, values.Length);
    }

    /// <inheritdoc/>
    public void Abort(string reason)
    {
        if (_ended) return;
        _ended = true;
        Console.Out.Flush();
        Console.Error.Flush();
        _library.Abort(1);
    }

    /// <summary>Leaves, once all ranks do. Where this one fails alone the others never come: call <see cref="Abort"/> then, or use <see cref="Run"/>.</summary>
    public void Dispose()
    {
        if (_ended) return;
        _ended = true;
        _library.Finish();
    }

    // Where each part begins, one behind the other.
    private static void Places(ReadOnlySpan<int> counts, int[] places, int length)
    {
        long at = 0;
        bool fits = counts.Length == places.Length;
        for (int rank = 0; rank < counts.Length && fits; rank++)
        {
            places[rank] = (int)at;
            at += counts[rank];
            fits = counts[rank] >= 0;
        }

        if (fits && at == length) return;
        throw new ShapeMismatchException("parts", $"{places.Length} parts in {length} bytes", $"{counts.Length} parts of {at} bytes in all",
            "Give a number of bytes, 0 or more, for each rank, and exactly as much room.");
    }
}
