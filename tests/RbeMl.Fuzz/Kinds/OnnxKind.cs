using RbeMl.Files;
using RbeMl.Fuzz.Mutation;
using RbeMl.Tests.Files;

namespace RbeMl.Fuzz.Kinds;

/// <summary>An ONNX file of an encoder, as older and newer exporters write one.</summary>
internal sealed class OnnxKind() : SingleFileKind(() =>
[
    new SmallOnnxBert().File.ToArray(),
    new SmallOnnxBert(new OnnxStyle { NormNodes = true, Product = "GemmTurned", FoldedConstants = true, Prefix = "bert." }).File.ToArray(),
])
{
    public override string Name => "onnx";

    protected override string FileName => "model.onnx";

    public override object Load(CaseFiles files, Dice dice) => OnnxEncoder.Open(files.WrittenFile(), heads: SmallOnnxBert.Heads);

    public override void Use(object loaded, Dice dice)
    {
        OnnxEncoder encoder = (OnnxEncoder)loaded;
        foreach (string name in encoder.Names) encoder.Read(name);
    }

    protected override byte[] Mutate(byte[] sample, Dice dice, byte[] other) => ByteMutator.Mutate(sample, dice, other);
}
