using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>How a kernel reads keys or values of one <see cref="KvFormat"/>; the JIT makes separate code for each.</summary>
internal unsafe interface IKvElements
{
    /// <summary>Bytes of an element.</summary>
    static abstract int Size { get; }

    /// <summary>The elements from <paramref name="index"/> of a row, as floats; scales are those of the row's positions.</summary>
    static abstract TLanes Load<TLanes>(byte* row, int index, float* scales)
        where TLanes : unmanaged, ILanes<TLanes>;
}

/// <summary><see cref="KvFormat.F32"/>.</summary>
internal readonly unsafe struct KvFloats : IKvElements
{
    public static int Size => sizeof(float);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Load<TLanes>(byte* row, int index, float* scales)
        where TLanes : unmanaged, ILanes<TLanes> => TLanes.Load((float*)row + index);
}

/// <summary><see cref="KvFormat.F16"/>.</summary>
internal readonly unsafe struct KvHalves : IKvElements
{
    public static int Size => sizeof(ushort);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Load<TLanes>(byte* row, int index, float* scales)
        where TLanes : unmanaged, ILanes<TLanes> => TLanes.LoadHalf((ushort*)row + index);
}

/// <summary><see cref="KvFormat.Int8"/>.</summary>
internal readonly unsafe struct KvBytes : IKvElements
{
    public static int Size => sizeof(sbyte);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Load<TLanes>(byte* row, int index, float* scales)
        where TLanes : unmanaged, ILanes<TLanes> => TLanes.Multiply(TLanes.LoadByte((sbyte*)row + index), TLanes.Load(scales + index));
}
