using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Reference;

/// <summary>y = x W' + b in torch. W [out, in] may depend on other tensors, its parameters.</summary>
/// <param name="Bias">[out].</param>
internal abstract record TorchLinear(Tensor Bias)
{
    /// <summary>W [out, in], made anew so that each pass has its own graph.</summary>
    public abstract Tensor Weight();

    /// <summary>The leaves below W, with their names.</summary>
    public abstract IEnumerable<(string Name, Tensor Tensor)> WeightParameters { get; }

    /// <summary>All leaves, with their names.</summary>
    public IEnumerable<(string Name, Tensor Tensor)> Parameters => WeightParameters.Append(("bias", Bias));

    /// <summary>x [.., in] -> [.., out].</summary>
    public Tensor Forward(Tensor x) => x.matmul(Weight().t()) + Bias;
}

/// <summary>A dense weight matrix.</summary>
/// <param name="Dense">W [out, in].</param>
/// <param name="Bias">[out].</param>
internal sealed record TorchDenseLinear(Tensor Dense, Tensor Bias) : TorchLinear(Bias)
{
    public override IEnumerable<(string Name, Tensor Tensor)> WeightParameters => [("weight", Dense)];

    public override Tensor Weight() => Dense;
}

/// <summary>A weight matrix given by alphas and coefficients.</summary>
/// <param name="Matrix">The parameters of W.</param>
/// <param name="Bias">[out].</param>
internal sealed record TorchRbeLinear(TorchRbeMatrix Matrix, Tensor Bias) : TorchLinear(Bias)
{
    public override IEnumerable<(string Name, Tensor Tensor)> WeightParameters
    {
        get
        {
            if (Matrix.Alphas is not null) yield return ("alphas", Matrix.Alphas);
            if (Matrix.Coefficients is not null) yield return ("coefficients", Matrix.Coefficients);
        }
    }

    public override Tensor Weight() => Matrix.Decode();
}
