using System.Runtime.InteropServices;

namespace RbeMl.Cli;

/// <summary>Whoever reads standard output has closed it: there is nobody to write to, and nothing to say about it.</summary>
internal sealed class PipeClosedException() : IOException("nobody reads standard output any more");

/// <summary>Standard output, whose failures are errors: .NET's own stream says nothing when the reader of a pipe is gone. Linux and macOS.</summary>
internal sealed class StandardOutput : Stream
{
    private const int Descriptor = 1, Interrupted = 4, BadDescriptor = 9, PipeClosed = 32, LinuxBusy = 11, MacBusy = 35;

    /// <summary>Told when a write finds the pipe closed.</summary>
    public Action OnPipeClosed { get; init; } = static () => { };

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override void Write(byte[] buffer, int offset, int count)
    {
        while (count > 0)
        {
            nint written = WriteBytes(Descriptor, ref buffer[offset], count);
            if (written < 0)
            {
                int error = Marshal.GetLastPInvokeError();
                if (error is LinuxBusy or MacBusy) Thread.Sleep(1);
                else if (error != Interrupted) throw Failure(error);
                continue;
            }

            (offset, count) = (offset + (int)written, count - (int)written);
        }
    }

    public override void Flush()
    {
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    /// <summary>Waits until the reader of standard output is gone; does not return for a file.</summary>
    /// <returns>False when standard output is closed from the beginning.</returns>
    public static bool WaitForClosedPipe()
    {
        const short Closed = 0x20;
        PollRequest request = new() { File = Descriptor };
        while (Poll(ref request, 1, -1) <= 0)
        {
        }

        return (request.Found & Closed) == 0;
    }

    private IOException Failure(int error)
    {
        if (error == PipeClosed)
        {
            OnPipeClosed();
            return new PipeClosedException();
        }

        return new IOException(error == BadDescriptor ? "standard output is closed" : $"standard output: {Marshal.GetPInvokeErrorMessage(error)}");
    }

    [DllImport("libc", EntryPoint = "write", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern nint WriteBytes(int file, ref byte bytes, nint count);

    [DllImport("libc", EntryPoint = "poll")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Poll(ref PollRequest requests, nint count, int timeout);

    [StructLayout(LayoutKind.Sequential)]
    private struct PollRequest
    {
        public int File;
        public short Wanted;
        public short Found;
    }
}
