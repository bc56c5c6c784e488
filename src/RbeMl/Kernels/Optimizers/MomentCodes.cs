using System.Numerics;
using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// An optimiser's moments as bytes, in blocks that share a scale, the largest of the block. Codes are dense where numbers are small: a first
/// moment is scale (c / 127)², with the sign of c; a second, which is not negative, scale (c / 255)⁴, so that its root has the steps of the
/// first. What lies between two codes is rounded with a dither that depends on the step and the place: over some steps the mean is kept, so
/// that a moment which moves by less than a code moves on. A second moment above zero never becomes zero, or a step would divide by nothing, unless
/// the largest of its block is below the smallest normal float.
/// </summary>
internal static unsafe class MomentCodes
{
    /// <summary>Values of a block.</summary>
    public const int Block = 256;

    private const int First = 127, Second = 255, Offset = 128;
    private const float Smallest = 1.1754944e-38f; // below it a scale has no inverse

    private static readonly float[] s_dither = [.. Enumerable.Range(0, 2 * Block).Select(i => (float)(((i + 0.5) * 0.6180339887498949 % 1) - 0.5))];

    /// <summary>What is added before rounding, -1/2 to 1/2: <see cref="Block"/> numbers.</summary>
    /// <param name="step">The optimiser's step.</param>
    /// <param name="block">The block, counted through first and second moments.</param>
    public static ReadOnlySpan<float> Dither(int step, long block) => s_dither.AsSpan((int)(((73L * step) + (29L * block)) & (Block - 1)), Block);

    /// <summary>Values of codes.</summary>
    /// <param name="codes">Codes of a block.</param>
    /// <param name="scale">Its scale.</param>
    /// <param name="values">Written.</param>
    /// <param name="count">At most <see cref="Block"/>.</param>
    /// <param name="second">Whether they are second moments.</param>
    public static void Decode<T>(sbyte* codes, float scale, T* values, int count, bool second)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) DecodeReference(codes, scale, values, count, second);
        else Wide.Run(new DecodeWork(codes, scale, (float*)values, count, second));
    }

    /// <summary>Codes of values.</summary>
    /// <param name="values">Finite values of a block; changed.</param>
    /// <param name="count">At most <see cref="Block"/>.</param>
    /// <param name="dither">As many as a block has.</param>
    /// <param name="codes">Written.</param>
    /// <param name="second">Whether they are second moments.</param>
    /// <returns>The block's scale.</returns>
    public static float Encode<T>(T* values, int count, float* dither, sbyte* codes, bool second)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) return EncodeReference(values, count, dither, codes, second);
        float scale = 0;
        Wide.Run(new EncodeWork((float*)values, count, dither, codes, second, &scale));
        return scale;
    }

    /// <summary>The definition of <see cref="Decode"/>.</summary>
    public static void DecodeReference<T>(sbyte* codes, float scale, T* values, int count, bool second)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int i = 0; i < count; i++)
        {
            T c = T.CreateTruncating(second ? codes[i] + Offset : codes[i]);
            values[i] = T.CreateTruncating(scale) * (second ? c * c * c * c / T.CreateTruncating(Math.Pow(Second, 4))
                : c * T.Abs(c) / T.CreateTruncating(First * First));
        }
    }

    /// <summary>The definition of <see cref="Encode"/>.</summary>
    public static float EncodeReference<T>(T* values, int count, float* dither, sbyte* codes, bool second)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        T largest = T.Zero;
        for (int i = 0; i < count; i++) largest = T.Max(largest, T.Abs(values[i]));
        float scale = float.CreateTruncating(largest);
        if (scale < Smallest) scale = 0;
        for (int i = 0; i < count; i++)
        {
            T ratio = scale == 0 ? T.Zero : T.Abs(values[i]) / T.CreateTruncating(scale), root = T.Sqrt(ratio), noise = T.CreateTruncating(dither[i]);
            if (second)
            {
                T code = T.Round((T.Sqrt(root) * T.CreateTruncating(Second)) + noise);
                codes[i] = (sbyte)(Math.Clamp(int.CreateTruncating(code), ratio > T.Zero ? 1 : 0, Second) - Offset);
            }
            else
            {
                T code = T.Round((root * T.CreateTruncating(First)) + noise);
                codes[i] = (sbyte)(Math.Clamp(int.CreateTruncating(code), 0, First) * T.Sign(values[i]));
            }
        }

        return scale;
    }

    /// <summary>Decoding over lanes.</summary>
    internal readonly struct DecodeWork(sbyte* codes, float scale, float* values, int count, bool second) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            int whole = count - (count % TLanes.Count);
            DecodeLanes<TLanes>(codes, scale, values, whole, second);
            DecodeLanes<LanesScalar>(codes + whole, scale, values + whole, count - whole, second);
        }
    }

    /// <summary>Encoding over lanes.</summary>
    internal readonly struct EncodeWork(float* values, int count, float* dither, sbyte* codes, bool second, float* scale) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            int whole = count - (count % TLanes.Count);
            float largest = MathF.Max(Largest<TLanes>(values, whole), Largest<LanesScalar>(values + whole, count - whole));
            if (largest < Smallest) largest = 0;
            *scale = largest;
            float inverse = largest == 0 ? 0 : 1 / largest;
            EncodeLanes<TLanes>(values, whole, dither, codes, second, inverse);
            EncodeLanes<LanesScalar>(values + whole, count - whole, dither + whole, codes + whole, second, inverse);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void DecodeLanes<TLanes>(sbyte* codes, float scale, float* values, int count, bool second)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        if (second)
        {
            TLanes factor = TLanes.Set(scale), offset = TLanes.Set(Offset), step = TLanes.Set(1f / Second);
            for (int i = 0; i < count; i += TLanes.Count)
            {
                TLanes c = TLanes.Multiply(TLanes.Add(TLanes.LoadByte(codes + i), offset), step), square = TLanes.Multiply(c, c);
                TLanes.Store(TLanes.Multiply(factor, TLanes.Multiply(square, square)), values + i);
            }

            return;
        }

        TLanes unit = TLanes.Set(scale / (First * First));
        for (int i = 0; i < count; i += TLanes.Count)
        {
            TLanes c = TLanes.LoadByte(codes + i), size = TLanes.Max(c, TLanes.Subtract(TLanes.Zero, c));
            TLanes.Store(TLanes.Multiply(unit, TLanes.Multiply(c, size)), values + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Largest<TLanes>(float* values, int count)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes most = TLanes.Zero;
        for (int i = 0; i < count; i += TLanes.Count)
        {
            TLanes value = TLanes.Load(values + i);
            most = TLanes.Max(most, TLanes.Max(value, TLanes.Subtract(TLanes.Zero, value)));
        }

        float* lanes = stackalloc float[16];
        TLanes.Store(most, lanes);
        float largest = 0;
        for (int lane = 0; lane < TLanes.Count; lane++) largest = MathF.Max(largest, lanes[lane]);
        return largest;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void EncodeLanes<TLanes>(float* values, int count, float* dither, sbyte* codes, bool second, float inverse)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes scale = TLanes.Set(inverse), steps = TLanes.Set(second ? Second : First), one = TLanes.Set(1), offset = TLanes.Set(Offset);
        for (int i = 0; i < count; i += TLanes.Count)
        {
            TLanes value = TLanes.Load(values + i), noise = TLanes.Load(dither + i);
            TLanes root = TLanes.Sqrt(TLanes.Multiply(TLanes.Max(value, TLanes.Subtract(TLanes.Zero, value)), scale));
            if (second)
            {
                TLanes code = TLanes.Round(TLanes.Fma(TLanes.Sqrt(root), steps, noise));
                TLanes least = TLanes.SelectLess(TLanes.Zero, root, one, TLanes.Zero);
                TLanes.StoreByte(TLanes.Subtract(TLanes.Min(TLanes.Max(code, least), steps), offset), codes + i);
            }
            else
            {
                TLanes code = TLanes.Min(TLanes.Max(TLanes.Round(TLanes.Fma(root, steps, noise)), TLanes.Zero), steps);
                TLanes.StoreByte(TLanes.SelectLess(value, TLanes.Zero, TLanes.Subtract(TLanes.Zero, code), code), codes + i);
            }
        }
    }
}
