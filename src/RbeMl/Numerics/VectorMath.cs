using System.Runtime.CompilerServices;

namespace RbeMl.Numerics;

/// <summary>Elementary functions on lanes. NaN gives NaN in its own lane.</summary>
internal static class VectorMath
{
    /// <summary>Below this <see cref="Exp"/> is 0, so that no denormal arises: -126 ln 2.</summary>
    internal const float ExpLow = -87.336544f;

    /// <summary>Above this <see cref="Exp"/> is +infinity: 127.5 ln 2, rounded down.</summary>
    internal const float ExpHigh = 88.37626f;

    private const float Log2E = 1.44269504f;

    // ln 2 in two parts, the first with so few bits that its product with an exponent is exact.
    private const float Ln2High = 0.693359375f, Ln2Low = -2.12194440e-4f;

    /// <summary>e^x to 2 ulp; 0 below <see cref="ExpLow"/> (so at -infinity), +infinity above <see cref="ExpHigh"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static TLanes Exp<TLanes>(TLanes x)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes low = TLanes.Set(ExpLow), limit = TLanes.Set(ExpHigh + 0.5f);
        TLanes result = ExpInRange(TLanes.SelectLess(limit, x, limit, x));
        return TLanes.SelectLess(x, low, TLanes.Zero, result);
    }

    /// <summary>e^x to 2 ulp for x &lt;= <see cref="ExpHigh"/>; 0 below <see cref="ExpLow"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static TLanes ExpNotLarge<TLanes>(TLanes x)
        where TLanes : unmanaged, ILanes<TLanes> => TLanes.SelectLess(x, TLanes.Set(ExpLow), TLanes.Zero, ExpInRange(x));

    /// <summary>e^x to 2 ulp for x between <see cref="ExpLow"/> and <see cref="ExpHigh"/>; undefined outside.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static TLanes ExpInRange<TLanes>(TLanes x)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes n = TLanes.Round(TLanes.Multiply(x, TLanes.Set(Log2E)));
        TLanes r = TLanes.FmaNegated(n, TLanes.Set(Ln2High), x);
        r = TLanes.FmaNegated(n, TLanes.Set(Ln2Low), r);

        // e^r = 1 + r + r² P(r) with |r| <= ln 2 / 2; P interpolates at Chebyshev nodes, relative error 1.1e-8.
        TLanes p = TLanes.Fma(TLanes.Set(0.0013926213f), r, TLanes.Set(0.0083632031f));
        p = TLanes.Fma(p, r, TLanes.Set(0.041666556f));
        p = TLanes.Fma(p, r, TLanes.Set(0.16666577f));
        p = TLanes.Fma(p, r, TLanes.Set(0.5f));
        p = TLanes.Fma(p, r, TLanes.Set(1f));
        p = TLanes.Fma(p, r, TLanes.Set(1f));
        return TLanes.Scale(p, n);
    }

    /// <summary>1 / (1 + e^-x) for |x| &lt;= 87; undefined outside.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static TLanes SigmoidInRange<TLanes>(TLanes x)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes one = TLanes.Set(1f);
        return TLanes.Divide(one, TLanes.Add(one, ExpInRange(TLanes.Subtract(TLanes.Zero, x))));
    }

    /// <summary>tanh x, absolute error below 3e-7.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static TLanes Tanh<TLanes>(TLanes x)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes twice = Clamp(TLanes.Add(x, x), 40f);
        return TLanes.Fma(TLanes.Set(2f), SigmoidInRange(twice), TLanes.Set(-1f));
    }

    /// <summary>erf x, absolute error below 3e-7.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static TLanes Erf<TLanes>(TLanes x)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        const float Root2 = 1.41421356f;
        TLanes cdf = NormalCdf(Clamp(TLanes.Multiply(x, TLanes.Set(Root2)), 13f), out _);
        return TLanes.Fma(TLanes.Set(2f), cdf, TLanes.Set(-1f));
    }

    /// <summary>Φ(x), absolute error below 1.5e-7, and e^(-x²/2), for |x| &lt;= 13; undefined outside.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static TLanes NormalCdf<TLanes>(TLanes x, out TLanes gauss)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes one = TLanes.Set(1f), a = TLanes.Max(x, TLanes.Subtract(TLanes.Zero, x));
        gauss = ExpInRange(TLanes.Multiply(TLanes.Multiply(x, x), TLanes.Set(-0.5f)));

        // With z = a / sqrt 2 and s = 1 / (1 + 0.4 z): erfc(z) e^(z²) = s R(s), R interpolated at Chebyshev nodes of s, relative error 2.2e-8.
        TLanes s = TLanes.Divide(one, TLanes.Fma(a, TLanes.Set(0.28284271f), one));
        TLanes p = TLanes.Fma(TLanes.Set(-0.0344902314f), s, TLanes.Set(0.224390537f));
        p = TLanes.Fma(p, s, TLanes.Set(-0.56028986f));
        p = TLanes.Fma(p, s, TLanes.Set(0.628622413f));
        p = TLanes.Fma(p, s, TLanes.Set(-0.351167142f));
        p = TLanes.Fma(p, s, TLanes.Set(0.307504058f));
        p = TLanes.Fma(p, s, TLanes.Set(0.117582455f));
        p = TLanes.Fma(p, s, TLanes.Set(0.217477053f));
        p = TLanes.Fma(p, s, TLanes.Set(0.224648386f));
        p = TLanes.Fma(p, s, TLanes.Set(0.225722313f));
        TLanes tail = TLanes.Multiply(TLanes.Multiply(gauss, TLanes.Set(0.5f)), TLanes.Multiply(p, s));
        return TLanes.SelectLess(TLanes.Zero, x, TLanes.Subtract(one, tail), tail);
    }

    /// <summary>x limited to [-bound, bound].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static TLanes Clamp<TLanes>(TLanes x, float bound)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        // By comparisons, which a NaN fails: Max and Min may lose it.
        TLanes high = TLanes.Set(bound), low = TLanes.Set(-bound);
        return TLanes.SelectLess(high, x, high, TLanes.SelectLess(x, low, low, x));
    }
}
