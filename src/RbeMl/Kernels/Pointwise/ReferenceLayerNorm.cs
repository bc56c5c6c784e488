using System.Numerics;

namespace RbeMl.Kernels;

/// <summary>LayerNorm over the features of each lane; x is <c>[features][width]</c>.</summary>
internal static unsafe class ReferenceLayerNorm
{
    /// <summary>mean[lane] and rstd[lane] = 1 / sqrt(var + eps), with the biased variance; NaN where that overflows.</summary>
    public static void Statistics<T>(T* x, T* mean, T* rstd, int features, int width, T eps)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        T count = T.CreateTruncating(features);
        for (int lane = 0; lane < width; lane++)
        {
            T sum = T.Zero;
            for (int f = 0; f < features; f++) sum += x[f * width + lane];
            T mu = sum / count;
            T square = T.Zero;
            for (int f = 0; f < features; f++)
            {
                T d = x[f * width + lane] - mu;
                square += d * d;
            }

            mean[lane] = mu;
            rstd[lane] = T.One / T.Sqrt(square / count + eps) + (square * T.Zero);
        }
    }

    /// <summary>y = (x - mean) * rstd * gamma + beta over <paramref name="rows"/> feature rows; gamma and beta start at the first of them.</summary>
    public static void Apply<T>(T* x, T* mean, T* rstd, T* gamma, T* beta, T* y, int rows, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int f = 0; f < rows; f++)
        {
            for (int lane = 0; lane < width; lane++) y[f * width + lane] = (x[f * width + lane] - mean[lane]) * rstd[lane] * gamma[f] + beta[f];
        }
    }

    /// <summary>dx += the input gradient; dgamma[f] and dbeta[f] = this chunk's sums (overwritten).</summary>
    public static void Backward<T>(T* x, T* mean, T* rstd, T* gamma, T* dy, T* dx, T* dgamma, T* dbeta, int features, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        T count = T.CreateTruncating(features);
        for (int f = 0; f < features; f++) dgamma[f] = dbeta[f] = T.Zero;
        for (int lane = 0; lane < width; lane++)
        {
            T sum = T.Zero, dot = T.Zero;
            for (int f = 0; f < features; f++)
            {
                T normalized = (x[f * width + lane] - mean[lane]) * rstd[lane];
                T g = dy[f * width + lane];
                dgamma[f] += g * normalized;
                dbeta[f] += g;
                sum += g * gamma[f];
                dot += g * gamma[f] * normalized;
            }

            sum /= count;
            dot /= count;
            for (int f = 0; f < features; f++)
            {
                T normalized = (x[f * width + lane] - mean[lane]) * rstd[lane];
                dx[f * width + lane] += rstd[lane] * (dy[f * width + lane] * gamma[f] - sum - normalized * dot);
            }
        }
    }
}
