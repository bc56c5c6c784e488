using System.Globalization;
using Microsoft.Win32.SafeHandles;
using RbeMl.Storage;

namespace RbeMl.Memory;

/// <summary>
/// A temporary file for activations between forward and backward: regions of equal size, allocated on the disk before they are used, and used again by
/// every step. It is deleted when disposed. A process that was killed leaves its file behind; the next one to use the folder deletes it: the name
/// carries process and start time, and an open file is locked, so that a living process keeps its own.
/// <para>
/// It is read and written, not mapped into memory, because pages of a mapped file count as resident. Measured with 288 MiB moved there and
/// back: reads and writes add 6 MiB to the resident memory; a mapping of the whole file is 1.3 times as fast but adds 293 MiB, which
/// spilling is there to avoid; mapping piece by piece adds 6 MiB but takes twenty times as long to write, as each unmapping waits for the disk.
/// </para>
/// </summary>
internal sealed unsafe class SpillFile : IDisposable
{
    private SafeFileHandle? _handle;
    private bool _disposed;

    /// <summary>Names a file and deletes those that dead processes left in the folder; nothing is written before <see cref="Prepare"/>.</summary>
    /// <param name="folder">An existing folder on a disk with space left; null for the system's temporary folder, which on some systems lies in memory.</param>
    /// <exception cref="RbeFileException">The folder is not there or cannot be read.</exception>
    public SpillFile(string? folder = null)
    {
        folder = System.IO.Path.GetFullPath(folder ?? System.IO.Path.GetTempPath());
        DeleteLeftovers(folder);
        Path = TemporaryNames.New(folder, "", TemporaryNames.Spill);
    }

    /// <summary>Full name of the file.</summary>
    public string Path { get; }

    /// <summary>Bytes of a region.</summary>
    public long RegionBytes { get; private set; }

    /// <summary>Regions.</summary>
    public int Regions { get; private set; }

    /// <summary>Bytes of the file.</summary>
    public long AllocatedBytes => Regions * RegionBytes;

    /// <summary>Makes room for that many regions of at least that many bytes. When the file has to grow, what it holds is lost.</summary>
    /// <exception cref="RbeFileException">There is no space, or the file cannot be made; nothing is left over.</exception>
    public void Prepare(long regionBytes, int regions)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(regionBytes);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(regions);
        if (_handle is not null && regionBytes <= RegionBytes && regions <= Regions) return;
        Close();
        try
        {
            long bytes = checked(regionBytes * regions);
            _handle = File.OpenHandle(Path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, FileOptions.None, bytes);
            RandomAccess.SetLength(_handle, bytes);
            (RegionBytes, Regions) = (regionBytes, regions);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or OverflowException)
        {
            TemporaryNames.Delete(Path);
            throw Failure(error, string.Create(CultureInfo.InvariantCulture, $"no room for {(double)regionBytes * regions / (1 << 20):F0} MiB of activations"));
        }
    }

    /// <summary>Writes into a region. Several threads may write different places at a time.</summary>
    /// <exception cref="RbeFileException">The disk is full or fails.</exception>
    public void Write(int region, long offset, byte* source, int count) => RandomAccessAt(region, offset, source, count, write: true);

    /// <summary>Reads from a region.</summary>
    /// <exception cref="RbeFileException">The disk fails, or the file was cut by somebody else.</exception>
    public void Read(int region, long offset, byte* target, int count) => RandomAccessAt(region, offset, target, count, write: false);

    /// <summary>Deletes the file.</summary>
    public void Dispose()
    {
        _disposed = true;
        Close();
        TemporaryNames.Release(Path);
    }

    /// <summary>Deletes the files in a folder whose processes are gone.</summary>
    /// <exception cref="RbeFileException">The folder is not there or cannot be read.</exception>
    internal static void DeleteLeftovers(string folder)
    {
        try
        {
            TemporaryNames.DeleteLeftovers(folder);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new RbeFileException(folder, $"cannot hold spilled activations ({IoReason.Of(error)}). Choose a folder you may write to.", error);
        }
    }

    private void RandomAccessAt(int region, long offset, byte* memory, int count, bool write)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(region);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(region, Regions);
        if (offset < 0 || count < 0 || offset > RegionBytes - count)
        {
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"The region has {Amount.Of(RegionBytes, "byte")}.");
        }

        long at = (region * RegionBytes) + offset;
        try
        {
            if (write)
            {
                RandomAccess.Write(_handle!, new ReadOnlySpan<byte>(memory, count), at);
                return;
            }

            for (int done = 0, step; done < count; done += step)
            {
                step = RandomAccess.Read(_handle!, new Span<byte>(memory + done, count - done), at + done);
                if (step == 0) throw new EndOfStreamException("the file ends too early");
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw Failure(error, write ? "activations cannot be written" : "activations cannot be read back");
        }
    }

    private RbeFileException Failure(Exception error, string what) =>
        new(Path, $"{what} ({IoReason.Of(error)}). Choose a folder on a disk with more space, a smaller batch, or full checkpointing "
            + $"without a spill file.", error);

    private void Close()
    {
        if (_handle is null) return;
        _handle.Dispose();
        _handle = null;
        (RegionBytes, Regions) = (0, 0);
        TemporaryNames.Delete(Path);
    }
}
