using System.Buffers;

namespace RbeMl.Tests.Support;

/// <summary>A guarded buffer as memory; the buffer stays its owner's.</summary>
internal sealed unsafe class GuardedMemory(GuardedBuffer<byte> buffer) : MemoryManager<byte>, IDisposable
{
    public override Span<byte> GetSpan() => buffer.Span;

    public override MemoryHandle Pin(int elementIndex = 0) => new(buffer.Pointer + elementIndex);

    public override void Unpin()
    {
    }

    protected override void Dispose(bool disposing)
    {
    }
}
