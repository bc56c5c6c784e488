using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

/// <summary>A delta in a file of its own, put on the model that it was trained on and on no other.</summary>
public sealed class DeltaFileTests : IDisposable
{
    private static readonly int[] s_tokens = [.. Enumerable.Range(0, 32).Select(i => i * 3 % 11)];
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static TransformerModel<float> Basis(ulong seed = 3, LayerNormStorage norms = LayerNormStorage.Dense, float dropout = 0, int layers = 1)
    {
        TransformerConfig config = new()
        {
            Width = 48,
            Heads = 2,
            Layers = layers,
            Vocabulary = 11,
            MaxSequenceLength = 16,
            LayerNorm = norms,
            Dropout = dropout,
        };
        return new(TransformerWeights.CreateUntrained(config, new RbeOptions { Tile = 32, Format = RbeFormat.Quantized(4) }, seed));
    }

    private static int[] Logits(TransformerModel<float> model)
    {
        using Workspace<float> workspace = new(1);
        return [.. model.Logits(s_tokens, 2, 16, workspace).Select(BitConverter.SingleToInt32Bits)];
    }

    private static DeltaModel Trained(TransformerModel<float> basis, DeltaOptions options, int steps = 3)
    {
        DeltaModel delta = DeltaModel.Attach(basis, options);
        GoOn(delta, steps);
        return delta;
    }

    private static void GoOn(DeltaModel delta, int steps)
    {
        TrainerOptions training = new() { Steps = steps, BatchSize = 4, Context = 16, WarmupSteps = 0, AverageHorizon = 2, Groups = delta.Groups };
        using Trainer trainer = new(delta.Model, new CountingTokens(11), null, training, 1);
        trainer.Run();
    }

    /// <summary>Two deltas of one model, which went to a file and back; each gives the bits that it was trained to, and can be trained on.</summary>
    [Theory]
    [InlineData(LayerNormStorage.Dense)]
    [InlineData(LayerNormStorage.Compressed)]
    public void Deltas_give_the_bits_that_they_were_trained_to(LayerNormStorage norms)
    {
        DeltaOptions[] kinds =
        [
            new(), new() { Support = DeltaSupport.Random, Coefficients = 7, Biases = true, LayerNorms = true, Layers = ["*.attention.*"] },
        ];
        string home = _folder.File("base.rbe");
        using (TransformerModel<float> basis = Basis(norms: norms)) ModelFile.Save(home, basis);
        using ModelBundle loaded = ModelFile.Load(home);
        int[] before = Logits(loaded.Model);
        foreach (DeltaOptions options in kinds)
        {
            string file = _folder.File($"{options.Support}.rbe");
            using DeltaModel delta = Trained(loaded.Model, options);
            DeltaFile.Save(file, delta);
            Assert.True(new FileInfo(file).Length < new FileInfo(home).Length / 2);
            using ModelBundle again = ModelFile.Load(home);
            using DeltaModel applied = DeltaFile.Apply(file, again.Model);
            Assert.Equal(Logits(delta.Model), Logits(applied.Model));
            Assert.NotEqual(before, Logits(applied.Model));
            Assert.Equal(delta.Trained, applied.Trained);
            Assert.Equal(delta.Groups, applied.Groups);
            GoOn(applied, 2);
            GoOn(delta, 2);
            Assert.Equal(Logits(delta.Model), Logits(applied.Model));
            DeltaFile.Save(_folder.File("one.rbe"), delta);
            DeltaFile.Save(_folder.File("other.rbe"), applied);
            Assert.Equal(File.ReadAllBytes(_folder.File("one.rbe")), File.ReadAllBytes(_folder.File("other.rbe")));
        }

        Assert.Equal(before, Logits(loaded.Model));
    }

    /// <summary>Dropout does not count: it is of a training and not of the model.</summary>
    [Fact]
    public void Another_model_is_refused_with_both_sides()
    {
        using TransformerModel<float> basis = Basis(), dropping = Basis(dropout: 0.2f), others = Basis(seed: 4), larger = Basis(layers: 2), moved = Basis();
        using DeltaModel delta = Trained(basis, new DeltaOptions());
        string file = _folder.File("delta.rbe");
        DeltaFile.Save(file, delta);
        DeltaFile.Apply(file, dropping).Dispose();
        moved.Parameters.Of(moved.Parameters.Find("final.beta"))[0] = 1e-6f;
        foreach (TransformerModel<float> other in (TransformerModel<float>[])[others, larger, moved, delta.Model])
        {
            DeltaMismatchException error = Assert.Throws<DeltaMismatchException>(() => DeltaFile.Apply(file, other));
            Assert.Equal(file, error.Path);
            Assert.Matches(
                "belongs to a model of 1 block of width 48, 11 token ids, checksum [0-9a-f]{32}; this one has [12] blocks? of width 48", error.Message);
        }
    }

    [Fact]
    public void Other_files_and_damage_are_refused()
    {
        using TransformerModel<float> basis = Basis();
        string file = _folder.File("delta.rbe"), damaged = _folder.File("damaged.rbe"), model = _folder.File("model.rbe");
        using (DeltaModel delta = Trained(basis, new DeltaOptions { Biases = true })) DeltaFile.Save(file, delta);
        ModelFile.Save(model, basis);
        Assert.Contains("holds a model, a delta is needed", Refuse(model).Message);
        Assert.Contains("holds a delta, a model is needed", Assert.Throws<RbeFileException>(() => ModelFile.Load(file)).Message);
        Assert.Contains("no such file", Refuse(_folder.File("none.rbe")).Message);
        byte[] bytes = File.ReadAllBytes(file);
        for (int place = 0; place < bytes.Length; place += Math.Max(1, bytes.Length / 61))
        {
            File.WriteAllBytes(damaged, bytes[..place]);
            Refuse(damaged);
            byte[] flipped = [.. bytes];
            flipped[place] ^= 4;
            File.WriteAllBytes(damaged, flipped);
            Refuse(damaged);
        }

        Says("\"blocks.7.attention.query\", which its model has not", metadata => Matrix(metadata)["name"] = "blocks.7.attention.query");
        Says("the file has", metadata => Matrix(metadata)["runs"] = 3);
        Says("runLength", metadata => Matrix(metadata)["runLength"] = 17);
        Says("\"final.delta\", which its model has not", metadata => ((JsonArray)metadata["vectors"]!).Add("final.delta"));
        Says("or has it twice", metadata => ((JsonArray)metadata["matrices"]!).Add(Matrix(metadata).DeepClone()));
        Says("belongs to no part of the delta", metadata => ((JsonArray)metadata["matrices"]!).RemoveAt(0));
        foreach (string key in new[] { "base", "matrices", "vectors", "kind" }) Says(key, metadata => metadata.Remove(key));
        Assert.Throws<NonFiniteException>(() =>
        {
            Change(_ => { }, value: float.NaN);
            DeltaFile.Apply(damaged, basis);
        });

        static JsonNode Matrix(JsonObject metadata) => metadata["matrices"]![0]!;

        RbeFileException Refuse(string path) => Assert.Throws<RbeFileException>(() => DeltaFile.Apply(path, basis));

        void Says(string words, Action<JsonObject> change)
        {
            Change(change);
            Assert.Contains(words, Refuse(damaged).Message, StringComparison.Ordinal);
        }

        void Change(Action<JsonObject> change, float value = 0)
        {
            using RbeContainer container = RbeContainer.Open(file);
            JsonObject json = JsonNode.Parse(container.Metadata.GetRawText())!.AsObject();
            change(json);
            RbeContainerWriter.Write(damaged, json, [.. container.Tensors.Select(Tensor)]);

            RbeTensor Tensor(RbeTensorInfo info)
            {
                if (info.Element == RbeElement.U16) return RbeTensor.From(info.Name, container.Read<ushort>(info.Name), [.. info.Shape]);
                float[] values = container.Read<float>(info.Name);
                values[0] = value;
                return RbeTensor.From(info.Name, values, [.. info.Shape]);
            }
        }
    }
}
