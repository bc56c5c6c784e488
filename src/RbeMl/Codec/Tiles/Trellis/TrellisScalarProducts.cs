using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RbeMl.Numerics;

namespace RbeMl.Codec;

/// <summary>
/// Products with a vector on any machine: eight windows lie in 64 bits, whatever the width, and each value is loaded by itself from the table of 16 KiB. Of
/// the processors without AVX-512 many are slower at a gather than at the loads that it stands for.
/// </summary>
internal static unsafe class TrellisScalarProducts
{
    /// <summary>Sums of a row.</summary>
    public const int Lanes = 4;

    private const int Group = 8, Before = 2; // bytes before a group's first symbol: no window starts earlier

    /// <summary>Row-major tiles add to sums <c>[B][4]</c>, column-major ones to y <c>[B]</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ProductScalar(this TrellisTiles tiles, int firstTile, int count, float* x, float* sums)
    {
        int bits = tiles.Bits, tile = tiles.Tile;
        long bytes = (long)tile * tile * bits / 8;
        bool down = tiles.Scan == TrellisScan.ColumnMajor;
        fixed (float* table = TrellisCodebook.For(bits))
        fixed (byte* codes = tiles.Codes.Span)
        {
            for (int t = firstTile; t < firstTile + count; t++, x += tile)
            {
                byte* payload = codes + (t * bytes);
                float scale = (float)tiles.Scales[t];
                switch (bits)
                {
                    case 2: Tile<Bits2>(payload, table, tile, down, scale, x, sums); break;
                    case 3: Tile<Bits3>(payload, table, tile, down, scale, x, sums); break;
                    case 4: Tile<Bits4>(payload, table, tile, down, scale, x, sums); break;
                    case 5: Tile<Bits5>(payload, table, tile, down, scale, x, sums); break;
                    default: Tile<Bits6>(payload, table, tile, down, scale, x, sums); break;
                }
            }
        }
    }

    private static void Tile<TWidth>(byte* payload, float* table, int tile, bool down, float scale, float* x, float* sums)
        where TWidth : struct, ICodeWidth
    {
        if (down) Columns<TWidth>(payload, table, tile, scale, x, sums);
        else Rows<TWidth>(payload, table, tile, scale, x, sums);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Rows<TWidth>(byte* payload, float* table, nint tile, float scale, float* x, float* sums)
        where TWidth : struct, ICodeWidth
    {
        ulong windows = First(payload);
        payload -= Before;
        float* xEnd = x + tile;
        for (float* end = sums + (tile * Lanes); sums < end; sums += Lanes)
        {
            Vector128<float> low = Vector128<float>.Zero, high = low;
            for (float* xs = x; xs < xEnd; xs += Group)
            {
                low = Fma(Four<TWidth>(windows, 0, table), Vector128.Load(xs), low);
                high = Fma(Four<TWidth>(windows, Lanes, table), Vector128.Load(xs + Lanes), high);
                payload += TWidth.Bits;
                windows = Next(payload);
            }

            Fma(Vector128.Create(scale), low + high, Vector128.Load(sums)).Store(sums);
        }
    }

    // Eight rows at a time, from column to column.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Columns<TWidth>(byte* payload, float* table, nint tile, float scale, float* x, float* y)
        where TWidth : struct, ICodeWidth
    {
        nint stride = tile * TWidth.Bits / 8;
        float* xEnd = x + tile;
        for (nint row = 0; row < tile; row += Group, payload += TWidth.Bits)
        {
            ulong windows = row == 0 ? First(payload) : Next(payload - Before);
            byte* next = payload - Before;
            Vector128<float> low = Vector128<float>.Zero, high = low;
            for (float* at = x; ;)
            {
                Vector128<float> value = Vector128.Create(*at);
                low = Fma(Four<TWidth>(windows, 0, table), value, low);
                high = Fma(Four<TWidth>(windows, Lanes, table), value, high);
                if (++at == xEnd) break;
                next += stride;
                windows = Next(next);
            }

            Vector128<float> scales = Vector128.Create(scale);
            Fma(scales, low, Vector128.Load(y + row)).Store(y + row);
            Fma(scales, high, Vector128.Load(y + row + Lanes)).Store(y + row + Lanes);
        }
    }

    // What lies before a tile's payload counts as zeros.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong First(byte* payload) => Next(payload) >> (8 * Before);

    // The first bits at the top.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Next(byte* source) => BinaryPrimitives.ReverseEndianness(Unsafe.ReadUnaligned<ulong>(source));

    // Values of four windows, from the given one of the eight on.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Four<TWidth>(ulong windows, int from, float* table)
        where TWidth : struct, ICodeWidth
    {
        int last = 64 - (8 * Before) - ((from + Lanes) * TWidth.Bits);
        return Vector128.Create(Value(windows >> (last + (3 * TWidth.Bits)), table), Value(windows >> (last + (2 * TWidth.Bits)), table),
            Value(windows >> (last + TWidth.Bits), table), Value(windows >> last, table));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Value(ulong state, float* table) => table[(nuint)state & TrellisWindows.Mask];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Fma(Vector128<float> a, Vector128<float> b, Vector128<float> c) =>
        Lanes128.Fma(new Lanes128(a), new Lanes128(b), new Lanes128(c)).V;
}
