using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Fuzz.Kinds;

/// <summary>A delta, put on the model that it is of.</summary>
internal sealed class DeltaKind() : RbeKind(() =>
[
    .. Options.Select(options => Samples.FileBytes(path =>
    {
        using TransformerModel<float> basis = Base();
        using DeltaModel delta = DeltaModel.Attach(basis, options);
        DeltaFile.Save(path, delta);
    })),
])
{
    private const int Quantized = 3;

    private static readonly DeltaOptions[] Options =
    [
        new(), new() { Support = DeltaSupport.Random, Coefficients = 5, Biases = true, LayerNorms = true, Layers = ["*.attention.*"] },
    ];

    public override string Name => "rbe-delta";

    /// <summary>The model, which is there before anything is read, and its weights beside it.</summary>
    public override long Room => 16 << 20;

    public override object Load(CaseFiles files, Dice dice)
    {
        string path = files.WrittenFile();
        using TransformerModel<float> basis = Base();
        return DeltaFile.Apply(path, basis);
    }

    public override void Use(object loaded, Dice dice)
    {
        using DeltaModel delta = (DeltaModel)loaded;
        Samples.Use(delta.Model, null, dice);
    }

    private static TransformerModel<float> Base() => Samples.Model(Quantized, 16);
}
