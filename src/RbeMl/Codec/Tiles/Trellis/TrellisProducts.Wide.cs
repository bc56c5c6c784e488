using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Codec;

/// <content>
/// Sixteen lanes that compute their values by <see cref="TrellisCurve"/>: seventeen instructions for sixteen weights, and no memory but the codes. Each tile is
/// a call of its own, which calls nothing: so all that stays the same lies in registers.
/// </content>
internal static unsafe partial class TrellisProducts
{
    private const int WideLanes = 16;

    // x with its sign changed where the place is in the upper half of the distribution: x ^ (place & sign).
    private const byte FlipWhereUpper = 0x78;

    /// <summary>Needs AVX-512; row-major tiles add to sums <c>[B][16]</c>, column-major ones to y <c>[B]</c>.</summary>
    private static void ProductWide(TrellisTiles tiles, int firstTile, int count, float* x, float* sums)
    {
        int bits = tiles.Bits, tile = tiles.Tile;
        long bytes = (long)tile * tile * bits / 8;
        byte* head = stackalloc byte[16];
        fixed (byte* shuffle = TrellisWindows.Shuffles[bits - TrellisCodebook.LeastBits])
        fixed (int* shifts = TrellisWindows.Shifts[bits - TrellisCodebook.LeastBits])
        fixed (float* curve = TrellisCurve.Coefficients)
        fixed (byte* codes = tiles.Codes.Span)
        {
            Windows windows = new(shuffle, shifts, TrellisCodebook.MultiplierOf(bits), curve);
            for (int j = 0; j < count; j++, x += tile)
            {
                byte* payload = codes + ((firstTile + j) * bytes);
                TrellisWindows.CopyHead(payload, head);
                float scale = (float)tiles.Scales[firstTile + j];
                if (tiles.Scan == TrellisScan.ColumnMajor) Columns(windows, payload, head, tile, bits, scale, x, sums);
                else Rows(windows, payload, head, tile, bits, scale, x, sums);
            }
        }
    }

    // What values are computed with.
    private readonly struct Windows(byte* shuffle, int* shifts, int multiplier, float* curve)
    {
        public readonly byte* Shuffle = shuffle;
        public readonly int* Shifts = shifts;
        public readonly int Multiplier = multiplier;

        // Half of the table of a power.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Power(int power, int from = 0) => Vector512.Load(curve + (power * TrellisCurve.Pieces) + from);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows(in Windows windows, byte* payload, byte* head, int tile, int bits, float scale, float* x, float* sums)
    {
        Vector512<byte> shuffle = Vector512.Load(windows.Shuffle);
        Vector512<uint> shifts = Vector512.Load(windows.Shifts).AsUInt32();
        Vector512<int> multiplier = Vector512.Create(windows.Multiplier << TrellisCurve.Point);
        Vector512<float> a0 = windows.Power(0), a1 = windows.Power(1), a2 = windows.Power(2), a3 = windows.Power(3), b0 = windows.Power(0, WideLanes),
            b1 = windows.Power(1, WideLanes), b2 = windows.Power(2, WideLanes), b3 = windows.Power(3, WideLanes), scales = Vector512.Create(scale);
        byte* source = head, next = payload - TrellisWindows.Before;
        for (float* end = sums + (tile * WideLanes); sums < end; sums += WideLanes)
        {
            Vector512<float> total = Vector512<float>.Zero;
            for (int column = 0; column < tile; column += WideLanes)
            {
                total = Meet(source, Vector512.Load(x + column), total, shuffle, shifts, multiplier, a0, b0, a1, b1, a2, b2, a3, b3);
                next += 2 * bits;
                source = next;
            }

            Avx512F.FusedMultiplyAdd(scales, total, Vector512.Load(sums)).Store(sums);
        }
    }

    // A vector holds sixteen rows of a column.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Columns(in Windows windows, byte* payload, byte* head, int tile, int bits, float scale, float* x, float* y)
    {
        Vector512<byte> shuffle = Vector512.Load(windows.Shuffle);
        Vector512<uint> shifts = Vector512.Load(windows.Shifts).AsUInt32();
        Vector512<int> multiplier = Vector512.Create(windows.Multiplier << TrellisCurve.Point);
        Vector512<float> a0 = windows.Power(0), a1 = windows.Power(1), a2 = windows.Power(2), a3 = windows.Power(3), b0 = windows.Power(0, WideLanes),
            b1 = windows.Power(1, WideLanes), b2 = windows.Power(2, WideLanes), b3 = windows.Power(3, WideLanes), scales = Vector512.Create(scale);
        byte* source = head;
        for (int row = 0; row < tile; row += WideLanes)
        {
            byte* next = payload + (row * bits / 8) - TrellisWindows.Before;
            if (row > 0) source = next;
            Vector512<float> total = Vector512<float>.Zero;
            for (float* end = x + tile, at = x; at < end; at++)
            {
                total = Meet(source, Vector512.Create(*at), total, shuffle, shifts, multiplier, a0, b0, a1, b1, a2, b2, a3, b3);
                next += tile * bits / 8;
                source = next;
            }

            Avx512F.FusedMultiplyAdd(scales, total, Vector512.Load(y + row)).Store(y + row);
        }
    }

    // total + values * x of the sixteen windows in sixteen bytes. a and b are the halves of the table of each power.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Meet(byte* source, Vector512<float> x, Vector512<float> total, Vector512<byte> shuffle, Vector512<uint> shifts,
        Vector512<int> multiplier, Vector512<float> a0, Vector512<float> b0, Vector512<float> a1, Vector512<float> b1, Vector512<float> a2,
        Vector512<float> b2, Vector512<float> a3, Vector512<float> b3)
    {
        Vector512<byte> bytes = Avx512BW.Shuffle(Avx512F.BroadcastVector128ToVector512((uint*)source).AsByte(), shuffle);
        Vector512<int> states = Avx512F.ShiftRightLogicalVariable(bytes.AsUInt32(), shifts).AsInt32(); // and what lies above them
        Vector512<int> place = Avx512F.MultiplyLow(states, multiplier) + Vector512.Create(1 << TrellisCurve.Point - 1);
        Vector512<float> t = Avx512F.ConvertToVector512Single(Avx512F.Abs(place).AsInt32());
        Vector512<int> piece = Avx512F.ShiftRightLogical(t.AsInt32(), TrellisCurve.Below);
        Vector512<float> value = Avx512F.PermuteVar16x32x2(a3, piece, b3);
        value = Avx512F.FusedMultiplyAdd(value, t, Avx512F.PermuteVar16x32x2(a2, piece, b2));
        value = Avx512F.FusedMultiplyAdd(value, t, Avx512F.PermuteVar16x32x2(a1, piece, b1));
        value = Avx512F.FusedMultiplyAdd(value, t, Avx512F.PermuteVar16x32x2(a0, piece, b0));
        Vector512<float> turned =
            Avx512F.TernaryLogic(x.AsInt32(), place, Vector512.Create(int.MinValue), FlipWhereUpper).AsSingle();
        return Avx512F.FusedMultiplyAddNegated(value, turned, total);
    }
}
