using System.Numerics;

namespace RbeMl.Kernels;

/// <summary>Passes over flat vectors.</summary>
internal static unsafe class ReferenceOptimizer
{
    /// <summary>
    /// AdamW: m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g²; w = w (1 - rate * decay) - rate * (m / c1) / (sqrt(v / c2) + eps), g being
    /// gradient * gradientScale, c1 = 1 - b1^step, c2 = 1 - b2^step. The gradients are zero afterwards.
    /// </summary>
    public static void AdamW<T>(T* w, T* g, T* m, T* v, long count, T rate, T decay, T beta1, T beta2, T eps, T correction1, T correction2, T gradientScale)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (long i = 0; i < count; i++)
        {
            T gradient = g[i] * gradientScale;
            g[i] = T.Zero;
            m[i] = beta1 * m[i] + (T.One - beta1) * gradient;
            v[i] = beta2 * v[i] + (T.One - beta2) * gradient * gradient;
            w[i] = w[i] * (T.One - rate * decay) - rate * (m[i] / correction1) / (T.Sqrt(v[i] / correction2) + eps);
        }
    }

    /// <summary>
    /// Gradient descent with momentum: d = g + decay * w; m = momentum * m + d; w = w - rate * m, g being gradient * gradientScale. Without
    /// a momentum m (null) w = w - rate * d. The gradients are zero afterwards.
    /// </summary>
    public static void Sgd<T>(T* w, T* g, T* m, long count, T rate, T decay, T momentum, T gradientScale)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (long i = 0; i < count; i++)
        {
            T descent = g[i] * gradientScale + decay * w[i];
            g[i] = T.Zero;
            if (m != null) descent = m[i] = momentum * m[i] + descent;
            w[i] -= rate * descent;
        }
    }

    /// <summary>
    /// Lion: w = w (1 - rate * decay) - rate * sign(b1 m + (1 - b1) g); then m = b2 m + (1 - b2) g, g being gradient * gradientScale and
    /// the sign of 0 being 0. The gradients are zero afterwards.
    /// </summary>
    public static void Lion<T>(T* w, T* g, T* m, long count, T rate, T decay, T beta1, T beta2, T gradientScale)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (long i = 0; i < count; i++)
        {
            T gradient = g[i] * gradientScale;
            g[i] = T.Zero;
            T direction = beta1 * m[i] + (T.One - beta1) * gradient;
            w[i] = w[i] * (T.One - rate * decay) - rate * T.CreateTruncating(T.Sign(direction));
            m[i] = beta2 * m[i] + (T.One - beta2) * gradient;
        }
    }

    /// <summary>m = momentum * m + (1 - momentum) g; then g = momentum * m + (1 - momentum) g, g being gradient * gradientScale.</summary>
    public static void Nesterov<T>(T* g, T* m, long count, T momentum, T gradientScale)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (long i = 0; i < count; i++)
        {
            T gradient = (T.One - momentum) * gradientScale * g[i];
            m[i] = momentum * m[i] + gradient;
            g[i] = momentum * m[i] + gradient;
        }
    }

    /// <summary>a = a + rate * (w - a).</summary>
    public static void Average<T>(T* w, T* a, long count, T rate)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (long i = 0; i < count; i++) a[i] += rate * (w[i] - a[i]);
    }

    /// <summary>Sum of squares, in double.</summary>
    public static double SumOfSquares<T>(T* x, long count)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        double sum = 0;
        for (long i = 0; i < count; i++)
        {
            double value = double.CreateTruncating(x[i]);
            sum += value * value;
        }

        return sum;
    }
}
