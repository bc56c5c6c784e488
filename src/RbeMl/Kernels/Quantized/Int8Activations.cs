using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RbeMl.Codec;

namespace RbeMl.Kernels;

/// <summary>
/// Activations of one chunk in int8: a record for each segment of 64 features (32 with tiles of 32), of codes <c>[segment /
/// 4][lane][4]</c>, so that four features of a token are one 32-bit word; then scales <c>[lane]</c> as floats; then offsets <c>[lane]</c>
/// as int32. value = scale * code. Weights are multiplied as level + 128, and the offset is what that adds too much: -128 times the sum of the codes.
/// </summary>
internal readonly unsafe struct Int8Activations(byte* start, int segment, int width)
{
    // Below it the reciprocal of a scale overflows; such values become 0.
    private const float Least = 1e-30f;
    private const int Largest = 127;

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

    /// <summary>
    /// Fills the records of <paramref name="features"/> features x, <c>[features][width]</c>. A token that holds a NaN or infinity there
    /// gets such a scale.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void Quantize(float* x, int features)
    {
        for (int s = 0; s < features / segment; s++, x += segment * width)
        {
            for (int lane = 0; lane < width; lane += Vector256<float>.Count) Quantize(x + lane, Codes(s) + (4 * lane), Scales(s) + lane, Offsets(s) + lane);
        }
    }

    private static long RecordBytes(int segment, int width) => (long)(segment + sizeof(float) + sizeof(int)) * width;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Quantize(float* x, sbyte* codes, float* scales, int* offsets)
    {
        // As integers the bits of absolute values have the values' order, and NaN is above all.
        Vector256<int> magnitude = Vector256.Create(0x7FFFFFFF), largest = Vector256<int>.Zero;
        float* end = x + (segment * width);
        for (float* p = x; p < end; p += width) largest = Vector256.Max(largest, Vector256.Load(p).AsInt32() & magnitude);
        Vector256<float> most = largest.AsSingle();
        Vector256<float> small = Vector256.LessThan(most, Vector256.Create(Least));
        Vector256<float> inverse = Vector256.AndNot(Vector256.Create((float)Largest) / most, small);
        Vector256.AndNot(most / Vector256.Create((float)Largest), small).Store(scales);
        Vector256<int> sum = Vector256.Create(unchecked(-segment * BitConverter.SingleToInt32Bits(Rounder))), low = Vector256.Create(0xFF);
        for (float* p = x; p < end; p += 4 * width, codes += 4 * width)
        {
            Vector256<int> c0 = Code(p, inverse), c1 = Code(p + width, inverse), c2 = Code(p + (2 * width), inverse), c3 = Code(p + (3 * width), inverse);
            sum += c0 + c1 + (c2 + c3);
            ((c0 & low) | ((c1 & low) << 8) | ((c2 & low) << 16) | (c3 << 24)).Store((int*)codes);
        }

        (sum * Vector256.Create(-FrozenTiles.LevelOffset)).Store(offsets);
    }

    // The nearest integer, ties to even, plus the bits of the rounder. At most 127 but for rounding, which the nearest integer absorbs.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Code(float* x, Vector256<float> inverse) => ((Vector256.Load(x) * inverse) + Vector256.Create(Rounder)).AsInt32();
}
