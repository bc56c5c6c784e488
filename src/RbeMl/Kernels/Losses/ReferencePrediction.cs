namespace RbeMl.Kernels;

/// <summary>The plain twin of <see cref="PredictionKernel"/>, one row of logits at a time.</summary>
internal static class ReferencePrediction
{
    /// <summary>Log-sum-exp in nats and the likeliest id, the lowest of equals.</summary>
    /// <param name="logits">[V].</param>
    public static (double LogSum, int Best) Normalize(ReadOnlySpan<float> logits)
    {
        int best = 0;
        for (int v = 1; v < logits.Length; v++)
        {
            if (logits[v] > logits[best]) best = v;
        }

        double sum = 0;
        foreach (float logit in logits) sum += Math.Exp((double)logit - logits[best]);
        return (logits[best] + Math.Log(sum), best);
    }

    /// <summary>KL(reference || model) in nats.</summary>
    /// <param name="reference">[V] logits.</param>
    /// <param name="model">[V] logits.</param>
    public static double Divergence(ReadOnlySpan<float> reference, ReadOnlySpan<float> model)
    {
        double p = Normalize(reference).LogSum, q = Normalize(model).LogSum, sum = 0;
        for (int v = 0; v < reference.Length; v++) sum += Math.Exp(reference[v] - p) * (reference[v] - p - (model[v] - q));
        return sum;
    }
}
