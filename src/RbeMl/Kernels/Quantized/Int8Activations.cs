using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RbeMl.Codec;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// Activations of one chunk in int8: a record for each segment of 64 features (32 with tiles of 32), of codes <c>[segment /
/// 4][lane][4]</c>, so that four features of a token are one 32-bit word; then scales <c>[lane]</c> as floats; then offsets <c>[lane]</c>
/// as int32; then sums of pairs <c>[segment / 16][lane]</c>, two of 16 bits in a word. value = scale * code. Weights are multiplied as level +
/// 128 or, narrow ones, + 64, and the offset is what 128 adds too much: -128 times the sum of the codes. The sums of pairs are what 64 adds
/// too much, modulo 2^16, in the features 4 k and 4 k + 1 of sixteen, and in 4 k + 2 and 4 k + 3. Scales are so large that the codes of such
/// eight are at most 511 together: with narrow levels their products fit 16 bits. That rounds no coarser than values of one size should be.
/// </summary>
internal readonly unsafe partial struct Int8Activations(byte* start, int segment, int width)
{
    // Below it the reciprocal of a scale overflows; such values become 0.
    private const float Least = 1e-30f;
    private const int Largest = 127;

    // Sum of eight codes before they are rounded, each by half at most.
    private const int LargestOfEight = 507, PairGroup = 16;

    // 1.5 * 2^23: floats near it are the integers, so a sum with it is rounded to one, which its low bits hold.
    private const float Rounder = 12582912;

    /// <summary>Features that share a scale, for tiles of <paramref name="tile"/>.</summary>
    internal static int SegmentOf(int tile) => Math.Min(tile, 64);

    /// <summary>Bytes of a chunk.</summary>
    internal static long Bytes(int features, int segment, int width) => (long)features / segment * RecordBytes(segment, width);

    /// <summary>Codes of segment <paramref name="s"/>.</summary>
    internal sbyte* Codes(int s) => (sbyte*)start + (s * RecordBytes(segment, width));

    /// <summary>Scales of segment <paramref name="s"/>.</summary>
    internal float* Scales(int s) => (float*)(Codes(s) + (segment * width));

    /// <summary>Offsets of segment <paramref name="s"/>.</summary>
    internal int* Offsets(int s) => (int*)Scales(s) + width;

    /// <summary>Sums of pairs of segment <paramref name="s"/>.</summary>
    internal int* PairSums(int s) => Offsets(s) + width;

    /// <summary>
    /// Fills the records of <paramref name="features"/> features x, <c>[features][width]</c>. A token that holds a NaN or infinity there
    /// gets such a scale.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void Quantize(float* x, int features)
    {
        for (int s = 0; s < features / segment; s++, x += segment * width)
        {
            int lane = 0;
            for (; Wide.Lanes == Vector512<float>.Count && lane < width; lane += Vector512<float>.Count)
            {
                Quantize16(x + lane, Codes(s) + (4 * lane), Scales(s) + lane, Offsets(s) + lane, PairSums(s) + lane);
            }

            for (; lane < width; lane += Vector256<float>.Count)
            {
                Quantize8(x + lane, Codes(s) + (4 * lane), Scales(s) + lane, Offsets(s) + lane, PairSums(s) + lane);
            }
        }
    }

    private static long RecordBytes(int segment, int width) => (long)(segment + sizeof(float) + sizeof(int) + (segment / PairGroup * sizeof(int))) * width;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Quantize8(float* x, sbyte* codes, float* scales, int* offsets, int* pairs)
    {
        // As integers the bits of absolute values have the values' order, and NaN is above all.
        Vector256<int> largest = Vector256<int>.Zero, largestOfEight = Vector256<int>.Zero;
        float* end = x + (segment * width);
        for (float* p = x; p < end;)
        {
            Vector256<float> even = Vector256<float>.Zero, odd = Vector256<float>.Zero;
            for (int quad = 0; quad < PairGroup / 4; quad++, p += 4 * width)
            {
                Vector256<float> a0 = Size(p), a1 = Size(p + width), a2 = Size(p + (2 * width)), a3 = Size(p + (3 * width));
                even += a0 + a1;
                odd += a2 + a3;
                largest = Vector256.Max(largest, Vector256.Max(Vector256.Max(a0.AsInt32(), a1.AsInt32()), Vector256.Max(a2.AsInt32(), a3.AsInt32())));
            }

            largestOfEight = Vector256.Max(largestOfEight, Vector256.Max(even.AsInt32(), odd.AsInt32()));
        }

        Vector256<float> shared = largestOfEight.AsSingle() * Vector256.Create((float)Largest / LargestOfEight);
        Vector256<float> most = Vector256.Max(largest, shared.AsInt32()).AsSingle();
        Vector256<float> small = Vector256.LessThan(largest.AsSingle(), Vector256.Create(Least));
        Vector256<float> inverse = Vector256.AndNot(Vector256.Create((float)Largest) / most, small);
        Vector256.AndNot(most / Vector256.Create((float)Largest), small).Store(scales);
        Vector256<int> sum = Vector256<int>.Zero, low = Vector256.Create(0xFF), first = Vector256.Create(0xFFFF);
        Vector256<int> start = Vector256.Create(unchecked(PairGroup / 2 * BitConverter.SingleToInt32Bits(Rounder)));
        for (float* p = x; p < end; pairs += width)
        {
            Vector256<int> even = start, odd = start; // minus the sums
            for (int quad = 0; quad < PairGroup / 4; quad++, p += 4 * width, codes += 4 * width)
            {
                Vector256<int> c0 = Code(p, inverse), c1 = Code(p + width, inverse), c2 = Code(p + (2 * width), inverse), c3 = Code(p + (3 * width), inverse);
                even -= c0 + c1;
                odd -= c2 + c3;
                ((c0 & low) | ((c1 & low) << 8) | ((c2 & low) << 16) | (c3 << 24)).Store((int*)codes);
            }

            (((even * FrozenTiles.NarrowOffset) & first) | ((odd * FrozenTiles.NarrowOffset) << 16)).Store(pairs);
            sum += even + odd;
        }

        (sum * FrozenTiles.WideOffset).Store(offsets);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Size(float* x) => Vector256.Abs(Vector256.Load(x));

    // The nearest integer, ties to even, plus the bits of the rounder. At most 127 but for rounding, which the nearest integer absorbs.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Code(float* x, Vector256<float> inverse) => ((Vector256.Load(x) * inverse) + Vector256.Create(Rounder)).AsInt32();
}
