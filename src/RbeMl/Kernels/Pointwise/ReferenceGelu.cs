using System.Numerics;

namespace RbeMl.Kernels;

/// <summary>GELU and its derivative, in double.</summary>
internal static unsafe class ReferenceGelu
{
    private const double Root = 0.79788456080286535588; // sqrt(2 / π)
    private const double Cubic = 0.044715;

    /// <summary>y = gelu(x).</summary>
    public static void Forward<T>(GeluKind kind, T* x, T* y, long count)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (long i = 0; i < count; i++) y[i] = T.CreateTruncating(Value(kind, double.CreateTruncating(x[i])));
    }

    /// <summary>dx = dy * gelu'(x); dx may be dy.</summary>
    public static void Backward<T>(GeluKind kind, T* x, T* dy, T* dx, long count)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (long i = 0; i < count; i++) dx[i] = dy[i] * T.CreateTruncating(Derivative(kind, double.CreateTruncating(x[i])));
    }

    /// <summary>gelu(x).</summary>
    public static double Value(GeluKind kind, double x) => kind switch
    {
        GeluKind.Tanh => 0.5 * x * (1 + Math.Tanh(Root * (x + Cubic * x * x * x))),
        GeluKind.Erf => x * NormalCdf(x),
        _ => throw new InvalidSettingException("GELU", kind, "use Tanh or Erf."),
    };

    /// <summary>gelu'(x).</summary>
    public static double Derivative(GeluKind kind, double x)
    {
        if (kind is not (GeluKind.Tanh or GeluKind.Erf)) throw new InvalidSettingException("GELU", kind, "use Tanh or Erf.");
        if (kind == GeluKind.Erf) return NormalCdf(x) + x * Math.Exp(-0.5 * x * x) / Math.Sqrt(2 * Math.PI);
        double t = Math.Tanh(Root * (x + Cubic * x * x * x));
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * Root * (1 + 3 * Cubic * x * x);
    }

    /// <summary>Φ(x), the normal distribution function, to double precision.</summary>
    public static double NormalCdf(double x)
    {
        // Series of odd powers where it converges fast, continued fraction of the tail beyond (Abramowitz and Stegun 26.2.11 and 26.2.14).
        double a = Math.Abs(x);
        double density = Math.Exp(-0.5 * x * x) / Math.Sqrt(2 * Math.PI);
        double tail;
        if (a < 5)
        {
            double term = a, sum = a;
            for (int k = 1; k < 200 && term > 1e-18 * sum; k++)
            {
                term *= a * a / (2 * k + 1);
                sum += term;
            }

            tail = 0.5 - density * sum;
        }
        else
        {
            double fraction = 0;
            for (int k = 60; k >= 1; k--) fraction = k / (a + fraction);
            tail = density / (a + fraction);
        }

        return x > 0 ? 1 - tail : tail;
    }
}
