using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RbeMl.Codec;

namespace RbeMl.Kernels;

/// <content>The same sixteen tokens at a time, where vectors are so wide.</content>
internal readonly unsafe partial struct Int8Activations
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Quantize16(float* x, sbyte* codes, float* scales, int* offsets, int* pairs)
    {
        // As integers the bits of absolute values have the values' order, and NaN is above all.
        Vector512<int> largest = Vector512<int>.Zero, largestOfEight = Vector512<int>.Zero;
        float* end = x + (segment * width);
        for (float* p = x; p < end;)
        {
            Vector512<float> even = Vector512<float>.Zero, odd = Vector512<float>.Zero;
            for (int quad = 0; quad < PairGroup / 4; quad++, p += 4 * width)
            {
                Vector512<float> a0 = Size16(p), a1 = Size16(p + width), a2 = Size16(p + (2 * width)), a3 = Size16(p + (3 * width));
                even += a0 + a1;
                odd += a2 + a3;
                largest = Vector512.Max(largest, Vector512.Max(Vector512.Max(a0.AsInt32(), a1.AsInt32()), Vector512.Max(a2.AsInt32(), a3.AsInt32())));
            }

            largestOfEight = Vector512.Max(largestOfEight, Vector512.Max(even.AsInt32(), odd.AsInt32()));
        }

        Vector512<float> shared = largestOfEight.AsSingle() * Vector512.Create((float)Largest / LargestOfEight);
        Vector512<float> most = Vector512.Max(largest, shared.AsInt32()).AsSingle();
        Vector512<float> small = Vector512.LessThan(largest.AsSingle(), Vector512.Create(Least));
        Vector512<float> inverse = Vector512.AndNot(Vector512.Create((float)Largest) / most, small);
        Vector512.AndNot(most / Vector512.Create((float)Largest), small).Store(scales);
        Vector512<int> sum = Vector512<int>.Zero, low = Vector512.Create(0xFF), first = Vector512.Create(0xFFFF);
        Vector512<int> start = Vector512.Create(unchecked(PairGroup / 2 * BitConverter.SingleToInt32Bits(Rounder)));
        for (float* p = x; p < end; pairs += width)
        {
            Vector512<int> even = start, odd = start; // minus the sums
            for (int quad = 0; quad < PairGroup / 4; quad++, p += 4 * width, codes += 4 * width)
            {
                Vector512<int> c0 = Code16(p, inverse), c1 = Code16(p + width, inverse);
                Vector512<int> c2 = Code16(p + (2 * width), inverse), c3 = Code16(p + (3 * width), inverse);
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
    private static Vector512<float> Size16(float* x) => Vector512.Abs(Vector512.Load(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Code16(float* x, Vector512<float> inverse) => ((Vector512.Load(x) * inverse) + Vector512.Create(Rounder)).AsInt32();
}
