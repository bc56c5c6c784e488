using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>Writes keys or values into compressed cache rows and reads them back. A lane is a position; the bits are the same on every machine.</summary>
internal static unsafe class KvKernel
{
    /// <summary>
    /// Stores lanes <paramref name="lane"/> .. lane + count - 1 of x <c>[features][width]</c> as positions <paramref name="position"/> and
    /// after. Whole groups of 16 lanes are read, at the end of x beyond it if the width is no multiple of 16.
    /// </summary>
    /// <returns>False when a value is NaN, infinite, or too large for the format; the positions then hold rubbish.</returns>
    public static bool Store(in KvRows rows, int position, float* x, int features, int width, int lane, int count)
    {
        bool fits;
        Wide.Run(new KvKernelLanes.StoreWork(rows, position, x, features, width, lane, count, &fits));
        return fits;
    }

    /// <summary>y <c>[features][stride]</c> = the values of positions 0 .. count - 1; up to 15 elements beyond them are written too.</summary>
    public static void Load(in KvRows rows, int features, int count, float* y, int stride) =>
        Wide.Run(new KvKernelLanes.LoadWork(rows, 0, features, count, y, stride));
}

/// <summary>The fast <see cref="KvKernel"/>.</summary>
internal static unsafe class KvKernelLanes
{
    // The first size that rounds to infinity as a half; what no float reaches; and what is stored as 0, as its inverse may not be a float.
    private const float HalfLimit = 65520f, NoLimit = float.PositiveInfinity, Negligible = 1e-30f;

    internal readonly struct StoreWork(KvRows rows, int position, float* x, int features, int width, int lane, int count, bool* fits) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            *fits = true;
            int end = lane + count;
            for (int group = lane / TLanes.Count * TLanes.Count; group < end; group += TLanes.Count)
            {
                int first = Math.Max(group, lane), number = Math.Min(group + TLanes.Count, end) - first;
                *fits &= Group<TLanes>(rows, position + first - lane, x + group, features, width, first - group, number);
            }
        }
    }

    internal readonly struct LoadWork(KvRows rows, int position, int features, int count, float* y, int stride) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes> => Load<TLanes>(rows, position, features, count, y, stride);
    }

    /// <summary>Reads positions from <paramref name="position"/>, a multiple of 16.</summary>
    internal static void Load<TLanes>(in KvRows rows, int position, int features, int count, float* y, int stride)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        if (rows.Format == KvFormat.F16) Load<TLanes, KvHalves>(rows, position, features, count, y, stride);
        else if (rows.Format == KvFormat.Int8) Load<TLanes, KvBytes>(rows, position, features, count, y, stride);
        else Load<TLanes, KvFloats>(rows, position, features, count, y, stride);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Load<TLanes, TKv>(in KvRows rows, int position, int features, int count, float* y, int stride)
        where TLanes : unmanaged, ILanes<TLanes>
        where TKv : struct, IKvElements
    {
        byte* row = (byte*)rows.Codes + ((long)position * TKv.Size);
        float* scales = (float*)rows.Scales + position;
        for (int f = 0; f < features; f++, row += (long)rows.Stride * TKv.Size, y += stride)
        {
            for (int s = 0; s < count; s += TLanes.Count) TLanes.Store(TKv.Load<TLanes>(row, s, scales), y + s);
        }
    }

    // Stores number lanes of one group of lanes, from lane skip on.
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static bool Group<TLanes>(in KvRows rows, int position, float* x, int features, int width, int skip, int number)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        float* room = stackalloc float[2 * TLanes.Count];
        TLanes max = TLanes.Zero, check = TLanes.Zero;
        for (int f = 0; f < features; f++)
        {
            TLanes value = TLanes.Load(x + ((long)f * width));
            max = TLanes.Max(max, TLanes.Max(value, TLanes.Subtract(TLanes.Zero, value)));
            check = TLanes.Add(check, TLanes.Subtract(value, value)); // NaN if any value is NaN or infinite
        }

        TLanes.Store(TLanes.Add(max, check), room);
        bool fits = true;
        float limit = rows.Format == KvFormat.F16 ? HalfLimit : NoLimit;
        for (int i = skip; i < skip + number; i++) fits &= room[i] < limit;
        if (!fits) return false;

        TLanes inverse = TLanes.Zero;
        if (rows.Format == KvFormat.Int8)
        {
            TLanes negligible = TLanes.Set(Negligible), top = TLanes.Set(127f);
            inverse = TLanes.SelectLess(max, negligible, TLanes.Zero, TLanes.Divide(top, max));
            TLanes.Store(TLanes.SelectLess(max, negligible, TLanes.Zero, TLanes.Divide(max, top)), room);
            new Span<float>(room + skip, number).CopyTo(new Span<float>((float*)rows.Scales + position, number));
        }

        byte* codes = (byte*)(room + TLanes.Count);
        for (int f = 0; f < features; f++)
        {
            TLanes value = TLanes.Load(x + ((long)f * width));
            long index = ((long)f * rows.Stride) + position;
            if (rows.Format == KvFormat.F16)
            {
                TLanes.StoreHalf(value, (ushort*)codes);
                for (int i = 0; i < number; i++) ((ushort*)rows.Codes)[index + i] = ((ushort*)codes)[skip + i];
            }
            else
            {
                TLanes.StoreByte(TLanes.Round(TLanes.Multiply(value, inverse)), (sbyte*)codes);
                for (int i = 0; i < number; i++) ((sbyte*)rows.Codes)[index + i] = ((sbyte*)codes)[skip + i];
            }
        }

        return true;
    }
}
