namespace RbeMl.Kernels;

/// <summary>How a cache of keys and values stores a number. Errors are those of one stored value against the value computed.</summary>
public enum KvFormat
{
    /// <summary>As it is computed: fp32, or fp64 in a double model. Exact.</summary>
    F32,

    /// <summary>IEEE half precision, 2 bytes. Relative error at most 2^-11 for sizes from 2^-14 to 65504; below, at most 2^-25 in all.</summary>
    F16,

    /// <summary>
    /// One byte, with one fp32 scale for the key and one for the value of a position and head: code = round(127 x / max |x|). Error at most max |x| / 254.
    /// </summary>
    Int8,
}
