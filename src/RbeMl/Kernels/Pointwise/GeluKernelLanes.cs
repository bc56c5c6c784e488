using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// The fast <see cref="GeluKernel"/>. Beyond the bounds below the value is x or (to 1e-30) 0 and the derivative 1 or 0 in float, so the curved part is
/// evaluated at the bound there and cannot overflow.
/// </summary>
internal static unsafe class GeluKernelLanes
{
    // 2 sqrt(2 / π) and its product with 0.044715: gelu = x sigmoid(x (A + B x²)).
    private const float A = 1.59576912f, B = 0.0713548163f;
    private const float TanhBound = 9.5f, ErfBound = 13f;
    private const float InverseRoot2Pi = 0.398942280f;

    internal readonly struct ForwardWork(GeluKind kind, float* x, float* y, long count) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            long whole = count - count % TLanes.Count;
            switch (kind)
            {
                case GeluKind.Tanh:
                    ForwardTanh<TLanes>(x, y, whole);
                    ForwardTanh<LanesScalar>(x + whole, y + whole, count - whole);
                    break;
                case GeluKind.Erf:
                    ForwardErf<TLanes>(x, y, whole);
                    ForwardErf<LanesScalar>(x + whole, y + whole, count - whole);
                    break;
                default:
                    throw new InvalidSettingException("GELU", kind, "use Tanh or Erf.");
            }
        }
    }

    internal readonly struct CoarseWork(GeluKind kind, float* x, float* y, long count) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            long whole = count - count % TLanes.Count;
            CoarseGelu polynomial = CoarseGelu.Of(kind);
            ForwardCoarse<TLanes>(polynomial, x, y, whole);
            ForwardCoarse<LanesScalar>(polynomial, x + whole, y + whole, count - whole);
        }
    }

    internal readonly struct BackwardWork(GeluKind kind, float* x, float* dy, float* dx, long count) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            long whole = count - count % TLanes.Count;
            switch (kind)
            {
                case GeluKind.Tanh:
                    BackwardTanh<TLanes>(x, dy, dx, whole);
                    BackwardTanh<LanesScalar>(x + whole, dy + whole, dx + whole, count - whole);
                    break;
                case GeluKind.Erf:
                    BackwardErf<TLanes>(x, dy, dx, whole);
                    BackwardErf<LanesScalar>(x + whole, dy + whole, dx + whole, count - whole);
                    break;
                default:
                    throw new InvalidSettingException("GELU", kind, "use Tanh or Erf.");
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ForwardTanh<TLanes>(float* x, float* y, long count)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        for (long i = 0; i < count; i += TLanes.Count)
        {
            TLanes v = TLanes.Load(x + i), c = VectorMath.Clamp(v, TanhBound);
            TLanes u = TLanes.Multiply(c, TLanes.Fma(TLanes.Multiply(c, c), TLanes.Set(B), TLanes.Set(A)));
            TLanes.Store(TLanes.Multiply(LimitBelow(v, TanhBound), VectorMath.SigmoidInRange(u)), y + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ForwardErf<TLanes>(float* x, float* y, long count)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        for (long i = 0; i < count; i += TLanes.Count)
        {
            TLanes v = TLanes.Load(x + i);
            TLanes cdf = VectorMath.NormalCdf(VectorMath.Clamp(v, ErfBound), out _);
            TLanes.Store(TLanes.Multiply(LimitBelow(v, ErfBound), cdf), y + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ForwardCoarse<TLanes>(CoarseGelu polynomial, float* x, float* y, long count)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        ReadOnlySpan<float> p = polynomial.Terms;
        TLanes p0 = TLanes.Set(p[0]), p1 = TLanes.Set(p[1]), p2 = TLanes.Set(p[2]), p3 = TLanes.Set(p[3]), p4 = TLanes.Set(p[4]), p5 = TLanes.Set(p[5]);
        TLanes p6 = TLanes.Set(p[6]), p7 = TLanes.Set(p[7]), p8 = TLanes.Set(p[8]), half = TLanes.Set(0.5f);
        TLanes high = TLanes.Set(polynomial.Bound), low = TLanes.Set(-polynomial.Bound);
        for (long i = 0; i < count; i += TLanes.Count)
        {
            // The clamp may lose a NaN, the last factor does not.
            TLanes v = TLanes.Load(x + i), c = TLanes.Max(TLanes.Min(v, high), low), z = TLanes.Multiply(c, c);
            TLanes q = TLanes.Fma(TLanes.Fma(TLanes.Fma(TLanes.Fma(p8, z, p7), z, p6), z, p5), z, p4);
            q = TLanes.Fma(TLanes.Fma(TLanes.Fma(TLanes.Fma(q, z, p3), z, p2), z, p1), z, p0);
            TLanes.Store(TLanes.Multiply(TLanes.SelectLess(v, low, low, v), TLanes.Fma(c, q, half)), y + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void BackwardTanh<TLanes>(float* x, float* dy, float* dx, long count)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        for (long i = 0; i < count; i += TLanes.Count)
        {
            // With e = exp(-u), s = 1 / (1 + e): gelu' = s + x s (1 - s) u', u' = A + 3 B x². 1 - s is taken as e s, which does not cancel.
            TLanes v = VectorMath.Clamp(TLanes.Load(x + i), TanhBound), square = TLanes.Multiply(v, v);
            TLanes u = TLanes.Multiply(v, TLanes.Fma(square, TLanes.Set(B), TLanes.Set(A)));
            TLanes e = VectorMath.ExpInRange(TLanes.Subtract(TLanes.Zero, u));
            TLanes s = TLanes.Divide(TLanes.Set(1f), TLanes.Add(TLanes.Set(1f), e));
            TLanes slope = TLanes.Multiply(v, TLanes.Fma(square, TLanes.Set(3 * B), TLanes.Set(A)));
            TLanes derivative = TLanes.Fma(slope, TLanes.Multiply(TLanes.Multiply(e, s), s), s);
            TLanes.Store(TLanes.Multiply(TLanes.Load(dy + i), derivative), dx + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void BackwardErf<TLanes>(float* x, float* dy, float* dx, long count)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        for (long i = 0; i < count; i += TLanes.Count)
        {
            TLanes v = VectorMath.Clamp(TLanes.Load(x + i), ErfBound);
            TLanes cdf = VectorMath.NormalCdf(v, out TLanes gauss);
            TLanes derivative = TLanes.Fma(TLanes.Multiply(v, TLanes.Set(InverseRoot2Pi)), gauss, cdf);
            TLanes.Store(TLanes.Multiply(TLanes.Load(dy + i), derivative), dx + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLanes LimitBelow<TLanes>(TLanes x, float bound)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes low = TLanes.Set(-bound);
        return TLanes.SelectLess(x, low, low, x);
    }
}
