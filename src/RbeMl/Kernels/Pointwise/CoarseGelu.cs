namespace RbeMl.Kernels;

/// <summary>
/// GELU as x (1/2 + c Q(c²)), c being x limited to the bound, where the factor reaches 0 and 1. Q is the polynomial of degree 8 whose largest
/// error of the value is least (2.5e-5, and 2.1e-5 of the tanh form), by weighted least squares repeated until the errors are even;
/// roundings of float add up to 1.2e-5.
/// </summary>
internal sealed class CoarseGelu
{
    private static readonly CoarseGelu s_erf = new(4.4f,
        0.3987616f, -0.0660764277f, 0.00964302663f, -0.00105499197f, 8.42929294e-05f, -4.72485999e-06f, 1.74084292e-07f, -3.75403619e-09f, 3.56941421e-11f);

    private static readonly CoarseGelu s_tanh = new(4.25f,
        0.398787767f, -0.0664529949f, 0.00990483072f, -0.00112865015f, 9.54724601e-05f, -5.72221506e-06f, 2.26471471e-07f, -5.25391197e-09f, 5.3746875e-11f);

    private readonly float[] _terms;

    private CoarseGelu(float bound, params float[] terms) => (Bound, _terms) = (bound, terms);

    /// <summary>Beyond it the factor stays.</summary>
    public float Bound { get; }

    /// <summary>Of Q, the constant first.</summary>
    public ReadOnlySpan<float> Terms => _terms;

    /// <summary>That of a kind.</summary>
    public static CoarseGelu Of(GeluKind kind) => kind switch
    {
        GeluKind.Tanh => s_tanh,
        GeluKind.Erf => s_erf,
        _ => throw new InvalidSettingException("GELU", kind, "use Tanh or Erf."),
    };

    /// <summary>One value by the definition; the vectors give the same bits.</summary>
    public float Value(float x)
    {
        float c = MathF.Max(MathF.Min(x, Bound), -Bound), square = c * c, q = _terms[^1];
        for (int i = _terms.Length - 2; i >= 0; i--) q = MathF.FusedMultiplyAdd(q, square, _terms[i]);
        return (x < -Bound ? -Bound : x) * MathF.FusedMultiplyAdd(c, q, 0.5f);
    }
}
