namespace RbeMl.Kernels;

/// <summary>Which GELU.</summary>
public enum GeluKind
{
    /// <summary>x · sigmoid(2·sqrt(2/π)·(x + 0.044715 x³)): GPT-2's.</summary>
    Tanh,

    /// <summary>x · Φ(x), by the error function.</summary>
    Erf,
}
