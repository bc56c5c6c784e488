using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RbeMl.Kernels;

/// <summary>
/// What evaluation reads from logits <c>[V][w]</c> of one chunk: log-sum-exp, likeliest id and divergence of every lane, in double. The plain twin is
/// <see cref="RbeMl.Kernels.ReferencePrediction"/>.
/// </summary>
internal static unsafe class PredictionKernel
{
    private const int Lanes = 16;

    /// <summary>Log-sum-exp and likeliest id (the lowest of equals) of every lane. A NaN or an infinity in a lane makes its sum NaN.</summary>
    /// <param name="logits"><c>[vocabulary][width]</c>.</param>
    /// <param name="vocabulary">V.</param>
    /// <param name="width">Lanes, a multiple of 16.</param>
    /// <param name="logSum">[width], written: ln of the sum of exp(logit), nats.</param>
    /// <param name="best">[width], written.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Normalize(float* logits, int vocabulary, int width, double* logSum, int* best)
    {
        RequireWidth(width);
        for (int lane = 0; lane < width; lane += Lanes)
        {
            float* column = logits + lane;
            Vector512<float> max = Vector512.Create(float.NegativeInfinity);
            Vector512<int> id = Vector512<int>.Zero;
            for (int v = 0; v < vocabulary; v++)
            {
                Vector512<float> logit = Vector512.Load(column + (long)v * width);
                Vector512<float> above = Vector512.GreaterThan(logit, max);
                max = Vector512.ConditionalSelect(above, logit, max);
                id = Vector512.ConditionalSelect(above.AsInt32(), Vector512.Create(v), id);
            }

            (Vector512<double> maxLow, Vector512<double> maxHigh) = Vector512.Widen(max);
            Vector512<double> low = Vector512<double>.Zero, high = Vector512<double>.Zero;
            for (int v = 0; v < vocabulary; v++)
            {
                (Vector512<double> a, Vector512<double> b) = Vector512.Widen(Vector512.Load(column + (long)v * width));
                low += Vector512.Exp(a - maxLow);
                high += Vector512.Exp(b - maxHigh);
            }

            (maxLow + Vector512.Log(low)).Store(logSum + lane);
            (maxHigh + Vector512.Log(high)).Store(logSum + lane + Lanes / 2);
            id.Store(best + lane);
        }
    }

    /// <summary>KL(p || q) = sum of p (ln p - ln q) in nats of every lane, p of the reference and q of the model; 0 where the logits are the same.</summary>
    /// <param name="reference"><c>[vocabulary][width]</c>.</param>
    /// <param name="referenceLogSum">[width], of <see cref="Normalize"/>.</param>
    /// <param name="model"><c>[vocabulary][width]</c>.</param>
    /// <param name="modelLogSum">[width].</param>
    /// <param name="vocabulary">V.</param>
    /// <param name="width">Lanes, a multiple of 16.</param>
    /// <param name="divergence">[width], written.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Divergence(float* reference, double* referenceLogSum, float* model, double* modelLogSum, int vocabulary, int width, double* divergence)
    {
        RequireWidth(width);
        for (int lane = 0; lane < width; lane += Lanes)
        {
            Vector512<double> pLow = Vector512.Load(referenceLogSum + lane), pHigh = Vector512.Load(referenceLogSum + lane + Lanes / 2);
            Vector512<double> qLow = Vector512.Load(modelLogSum + lane), qHigh = Vector512.Load(modelLogSum + lane + Lanes / 2);
            Vector512<double> low = Vector512<double>.Zero, high = Vector512<double>.Zero;
            for (int v = 0; v < vocabulary; v++)
            {
                long row = (long)v * width + lane;
                (Vector512<double> r0, Vector512<double> r1) = Vector512.Widen(Vector512.Load(reference + row));
                (Vector512<double> m0, Vector512<double> m1) = Vector512.Widen(Vector512.Load(model + row));
                r0 -= pLow;
                r1 -= pHigh;
                low += Vector512.Exp(r0) * (r0 - (m0 - qLow));
                high += Vector512.Exp(r1) * (r1 - (m1 - qHigh));
            }

            low.Store(divergence + lane);
            high.Store(divergence + lane + Lanes / 2);
        }
    }

    private static void RequireWidth(int width)
    {
        if (width <= 0 || width % Lanes != 0)
        {
            throw new ShapeMismatchException("chunk of logits", $"a multiple of {Lanes} lanes", $"{width}", "Pass a panel's chunk.");
        }
    }
}
