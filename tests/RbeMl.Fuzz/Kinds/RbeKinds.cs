using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Fuzz.Mutation;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Fuzz.Kinds;

/// <summary>A <c>.rbe</c> file of some kind.</summary>
internal abstract class RbeKind(Func<IReadOnlyList<byte[]>> samples) : SingleFileKind(samples)
{
    protected override string FileName => "file.rbe";

    protected override byte[] Mutate(byte[] sample, Dice dice, byte[] other) => RbeParts.Mutate(sample, dice, other);
}

/// <summary>A model, read as a stream or as a file.</summary>
internal sealed class RbeModelKind() : RbeKind(() =>
[
    .. Samples.Formats.Select((_, i) => Samples.Bytes(stream =>
    {
        using TransformerModel<float> model = Samples.Model(i, 270, (LayerNormStorage)(i % 3), i % 2 == 0);
        ModelFile.Save(stream, model, Samples.Tokenizers[i % Samples.Tokenizers.Count]);
    })),
    Samples.Bytes(stream =>
    {
        using TransformerModel<float> encoder = new(EncoderFolderKind.Weights());
        ModelFile.Save(stream, encoder, Samples.Pieces);
    }),
])
{
    public override string Name => "rbe-model";

    public override object Load(CaseFiles files, Dice dice)
    {
        if (!dice.Once(8)) return ModelFile.Load(files.Stream());
        string path = files.WrittenFile();
        RbeInspection.Read(path, verify: true);
        return dice.Once(2) ? ModelSource.Load(path) : ModelFile.Load(path, new RbeLoadOptions { Map = dice.Once(2), Verify = dice.Once(2) });
    }

    public override void Use(object loaded, Dice dice)
    {
        ModelBundle bundle = (ModelBundle)loaded;
        Samples.Use(bundle.Model, bundle.Tokenizer, dice);
        if (dice.Once(16)) ModelFile.Save(Stream.Null, bundle.Model, bundle.Tokenizer);
    }
}

/// <summary>A block.</summary>
internal sealed class RbeBlockKind() : RbeKind(() =>
[
    .. Samples.Formats.Select((_, i) => Samples.Bytes(stream =>
    {
        using TransformerModel<float> model = Samples.Model(i, 16);
        BlockFile.Save(stream, model.Config, model.GetWeights().Blocks[0]);
    })),
])
{
    public override string Name => "rbe-block";

    public override object Load(CaseFiles files, Dice dice)
    {
        (TransformerConfig config, BlockWeights weights) = BlockFile.Load(files.Stream());
        return new RbeTransformerBlock<float>(config, weights);
    }

    public override void Use(object loaded, Dice dice)
    {
        RbeTransformerBlock<float> block = (RbeTransformerBlock<float>)loaded;
        using Workspace<float> workspace = new(Samples.Team);
        block.Forward(new float[2 * block.Linears.First().Inputs], 1, 2, null, null, workspace);
    }
}

/// <summary>Matrices with dense tensors.</summary>
internal sealed class RbeMatricesKind() : RbeKind(() =>
[
    .. Samples.Formats.Select(format => Samples.FileBytes(path =>
    {
        float[] weights = [.. Enumerable.Range(0, 40 * 33).Select(i => MathF.Sin(i * i))];
        RbeMatrix matrix = RbeCompressor.Compress(weights, 40, 33, format, out CompressionReport report);
        RbeMatrixSet.Save(path, [new("a.weight", matrix, report), new("b", matrix)], [RbeDenseTensor.From("norm", "BF16", [3, 2], new byte[12])],
            new JsonObject { ["of"] = "samples" });
    })),
])
{
    public override string Name => "rbe-matrices";

    public override object Load(CaseFiles files, Dice dice)
    {
        string path = files.WrittenFile();
        if (dice.Once(4)) RbeInspection.Read(path);
        if (dice.Once(8)) DenseExport.Write(path, Path.Combine(files.Folder, "out.safetensors"));
        return RbeMatrixSet.Open(path, new RbeLoadOptions { Map = dice.Once(2) });
    }

    public override void Use(object loaded, Dice dice)
    {
        RbeMatrixSet set = (RbeMatrixSet)loaded;
        foreach (string name in set.Names) set.ReadMatrix(name).ToDense();
        foreach (RbeDenseInfo tensor in set.DenseTensors) set.CopyDense(tensor.Name, Stream.Null);
    }
}

/// <summary>A classifier.</summary>
internal sealed class RbeClassifierKind() : RbeKind(() =>
[
    .. Enumerable.Range(0, 3).Select(i => Samples.Bytes(stream =>
    {
        using SequenceClassifier<float> classifier = new(Samples.Model(i * 3, 270), new ClassifierConfig { Classes = 2 + i, Pooling = (Pooling)i }, 1);
        ClassifierFile.Save(stream, classifier, Samples.Tokenizers[i]);
    })),
])
{
    public override string Name => "rbe-classifier";

    public override object Load(CaseFiles files, Dice dice) => dice.Once(8) ? ClassifierFile.Load(files.WrittenFile()) : ClassifierFile.Load(files.Stream());

    public override void Use(object loaded, Dice dice)
    {
        ClassifierBundle bundle = (ClassifierBundle)loaded;
        using Workspace<float> workspace = new(Samples.Team);
        bundle.Classifier.Probabilities([1, 0], [2], workspace, new float[bundle.Classifier.Config.Classes]);
        if (bundle.Tokenizer is not null) Samples.Use(bundle.Tokenizer);
    }
}
