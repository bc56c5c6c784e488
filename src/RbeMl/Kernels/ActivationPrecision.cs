namespace RbeMl.Kernels;

/// <summary>How a copy for inference keeps the inputs of its products with frozen codes.</summary>
public enum ActivationPrecision
{
    /// <summary>
    /// As they are. On x86 with AVX2 but without AVX-512 the vector of a single token is rounded to 16 bits with one scale for 64 features where it meets
    /// quantised codes, and levels of 2 to 5 bits to 14: together 9e-5 of a product.
    /// </summary>
    Float32,

    /// <summary>
    /// Rounded to int8 with one scale a token and 64 features, and multiplied with levels rounded to int8, in integers. Levels of 6 to 8
    /// bits are integers already; the others move by at most 1/254 of the largest one.
    /// </summary>
    Int8,
}
