using System.Numerics;
using RbeMl.Layers;
using RbeMl.Numerics;

namespace RbeMl.Training;

/// <summary>
/// The head's arithmetic on rows: logits = W x + b, cross-entropy, and the backward of both. Plain loops in a fixed order: a head is small beside the
/// model before it. Letters: D features, C classes.
/// </summary>
internal static unsafe class ClassifierHead
{
    /// <summary>Drops elements of a row, or of its gradient, by their place in the batch: x = dropped ? 0 : x / (1 - p).</summary>
    public static void Drop<T>(DropoutStep stream, float probability, long row, T* x, int features)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        RandomKey key = stream.Key(0, DropoutSite.Head);
        uint threshold = Philox.Threshold(probability);
        T scale = T.CreateTruncating(1 / (1 - probability));
        for (int f = 0; f < features; f += 4)
        {
            (uint x0, uint x1, uint x2, uint x3) = Philox.Words(key, (ulong)row, (uint)f / 4);
            ReadOnlySpan<uint> words = [x0, x1, x2, x3];
            for (int i = f; i < Math.Min(f + 4, features); i++) x[i] = words[i - f] < threshold ? T.Zero : x[i] * scale;
        }
    }

    /// <summary>logits[c] = b[c] + sum over f of W[c][f] x[f].</summary>
    public static void Logits<T>(T* x, T* weight, T* bias, T* logits, int features, int classes)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int c = 0; c < classes; c++, weight += features)
        {
            T sum = bias[c];
            for (int f = 0; f < features; f++) sum += weight[f] * x[f];
            logits[c] = sum;
        }
    }

    /// <summary>ln(sum of exp(logit)) - logit of the label, nats; NaN when a logit is not finite.</summary>
    public static double Loss<T>(T* logits, int classes, int label)
        where T : unmanaged, IFloatingPointIeee754<T> => LogSum(logits, classes) - double.CreateTruncating(logits[label]);

    /// <summary>logits[c] = (softmax[c] - (c is the label)) * scale.</summary>
    public static void LossGradient<T>(T* logits, int classes, int label, double scale)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        double logSum = LogSum(logits, classes);
        for (int c = 0; c < classes; c++)
        {
            double probability = Math.Exp(double.CreateTruncating(logits[c]) - logSum);
            logits[c] = T.CreateTruncating((c == label ? probability - 1 : probability) * scale);
        }
    }

    /// <summary>logits[c] = their softmax.</summary>
    public static void Probabilities<T>(Span<T> logits)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        fixed (T* p = logits)
        {
            double logSum = LogSum(p, logits.Length);
            for (int c = 0; c < logits.Length; c++) p[c] = T.CreateTruncating(Math.Exp(double.CreateTruncating(p[c]) - logSum));
        }
    }

    /// <summary>dx[f] = sum over c of dlogits[c] W[c][f].</summary>
    public static void Backward<T>(T* logitGradient, T* weight, T* dx, int features, int classes)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        new Span<T>(dx, features).Clear();
        for (int c = 0; c < classes; c++, weight += features)
        {
            T g = logitGradient[c];
            for (int f = 0; f < features; f++) dx[f] += g * weight[f];
        }
    }

    /// <summary>dW[f] += sum over rows of dlogits[row] x[row][f], and their sum to db, of one class.</summary>
    /// <param name="logitGradient">The class's gradient in the first row; rows are <paramref name="classes"/> apart.</param>
    /// <param name="x">[rows, D].</param>
    /// <param name="dweight">[D], added to.</param>
    /// <param name="dbias">The class's, added to.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="features">D.</param>
    /// <param name="classes">C.</param>
    public static void WeightGradient<T>(T* logitGradient, T* x, T* dweight, T* dbias, int rows, int features, int classes)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int r = 0; r < rows; r++, x += features)
        {
            T g = logitGradient[(long)r * classes];
            *dbias += g;
            for (int f = 0; f < features; f++) dweight[f] += g * x[f];
        }
    }

    private static double LogSum<T>(T* logits, int classes)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        double max = double.NegativeInfinity, sum = 0;
        for (int c = 0; c < classes; c++) max = Math.Max(max, double.CreateTruncating(logits[c]));
        for (int c = 0; c < classes; c++) sum += Math.Exp(double.CreateTruncating(logits[c]) - max);
        return max + Math.Log(sum);
    }
}
