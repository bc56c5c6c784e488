using System.Runtime.InteropServices;

namespace RbeMl.Tests.Support;

/// <summary>
/// Memory that ends at an unreadable page (or starts after one), so that a kernel that reads or writes past its data crashes the test at once.
/// Without mmap (Windows) it is plain memory with canaries that <see cref="Dispose"/> checks.
/// </summary>
internal sealed unsafe class GuardedBuffer<T> : IDisposable
    where T : unmanaged
{
    private const int ReadWrite = 3, PrivateAnonymous = 0x22;
    private readonly nint _base;
    private readonly nuint _size;
    private readonly byte[]? _canary;
    private readonly byte* _plain;

    /// <summary>Allocates <paramref name="length"/> zeroed elements that end at a guard page; the start is aligned as the length allows.</summary>
    public GuardedBuffer(int length)
    {
        Length = length;
        nuint bytes = (nuint)(length * sizeof(T));
        nuint page = (nuint)Environment.SystemPageSize;
        if (OperatingSystem.IsLinux())
        {
            nuint body = (bytes + page - 1) / page * page + (bytes == 0 ? page : 0);
            _size = body + 2 * page;
            _base = Pages.Map(0, _size, ReadWrite, PrivateAnonymous, -1, 0);
            Assert.NotEqual(-1, _base);
            Assert.Equal(0, Pages.Protect(_base, page, 0));
            Assert.Equal(0, Pages.Protect(_base + (nint)(page + body), page, 0));
            Pointer = (T*)(_base + (nint)(page + body - bytes));
        }
        else
        {
            _canary = new byte[256];
            Array.Fill(_canary, (byte)0xA5);
            _plain = (byte*)NativeMemory.AlignedAlloc(bytes + 512, 64);
            new Span<byte>(_plain, checked((int)bytes + 512)).Fill(0xA5);
            Pointer = (T*)(_plain + 256);
            Span.Clear();
        }
    }

    public int Length { get; }

    public T* Pointer { get; }

    public Span<T> Span => new(Pointer, Length);

    public void Dispose()
    {
        if (_canary is null)
        {
            _ = Pages.Unmap(_base, _size);
            return;
        }

        bool intact = new Span<byte>(_plain, 256).SequenceEqual(_canary) && new Span<byte>(_plain + 256 + Length * sizeof(T), 256).SequenceEqual(_canary);
        NativeMemory.AlignedFree(_plain);
        Assert.True(intact, "memory before or after the buffer was written");
    }
}

/// <summary>Page protection of the C library.</summary>
internal static class Pages
{
    [DllImport("libc", EntryPoint = "mmap", SetLastError = true)]
    public static extern nint Map(nint address, nuint length, int protection, int flags, int file, nint offset);

    [DllImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    public static extern int Protect(nint address, nuint length, int protection);

    [DllImport("libc", EntryPoint = "munmap", SetLastError = true)]
    public static extern int Unmap(nint address, nuint length);
}
