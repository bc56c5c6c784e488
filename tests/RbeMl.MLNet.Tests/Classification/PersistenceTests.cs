using System.IO.Compression;
using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Classification;
using RbeMl.MLNet.Files;

namespace RbeMl.MLNet.Tests.Classification;

public sealed class PersistenceTests
{
    private readonly MLContext _ml = new(1);

    [Fact]
    public void OwnFormatKeepsEverything()
    {
        IDataView data = Toy.Multiclass(_ml);
        TextClassificationTransformer model = Toy.Fit(_ml, data, o => (o.ValidationFraction, o.KeepEnd) = (0.25, true));
        TextClassificationTransformer loaded = _ml.Rbe.LoadTextClassification(new MemoryStream(Bytes(model)));
        Assert.Equal(Toy.Scores(_ml, model, data), Toy.Scores(_ml, loaded, data));
        Assert.Equal(model.Classes, loaded.Classes);
        Assert.Equal(model.Limits, loaded.Limits);
        Assert.Equal(model.Summary.Epochs, loaded.Summary.Epochs);
        Assert.Equal(model.Summary with { Epochs = [] }, loaded.Summary with { Epochs = [] });
        Assert.Equal(Bytes(model), Bytes(loaded));
    }

    [Fact]
    public void ChainsAreTakenApartAfterLoading()
    {
        IDataView data = Toy.Multiclass(_ml);
        ITransformer chain = new EstimatorChain<ITransformer>().Append(_ml.Transforms.CopyColumns("Again", "Text"))
            .Append(_ml.Rbe.TextClassification(Toy.Options())).Append(_ml.Transforms.Conversion.MapKeyToValue("Name", "PredictedLabel")).Fit(data);
        var loaded = (TransformerChain<ITransformer>)Toy.Reload(chain, data.Schema, out MLContext fresh);
        TextClassificationTransformer own = loaded.OfType<TextClassificationTransformer>().Single();
        Assert.Equal(Toy.Scores(_ml, chain, data), Toy.Scores(fresh, own, data));
        Assert.Equal(["cat", "dog", "owl"], own.Classes);
        TextClassificationTransformer further = Toy.Fit(fresh, data, o => (o.WarmStart, o.Epochs) = (own, 1));
        Assert.True(further.Summary.Epochs[0].Loss < own.Summary.Epochs[0].Loss);
    }

    [Fact]
    public void DamagedAndCutFilesAreRefused()
    {
        byte[] bytes = Bytes(Toy.Fit(_ml, Toy.Binary(_ml), o => o.Epochs = 1));
        Random random = new(5);
        for (int i = 0; i < 40; i++)
        {
            byte[] damaged = [.. bytes];
            damaged[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
            Assert.Throws<RbeFileException>(() => _ml.Rbe.LoadTextClassification(new MemoryStream(damaged)));
            Assert.Throws<RbeFileException>(() => _ml.Rbe.LoadTextClassification(new MemoryStream(bytes[..random.Next(bytes.Length)])));
        }
    }

    [Fact]
    public void ANewerVersionIsNamed()
    {
        byte[] bytes = Bytes(Toy.Fit(_ml, Toy.Binary(_ml), o => o.Epochs = 1));
        bytes[8] = 9;
        Assert.Contains("version 9", Assert.Throws<RbeFileException>(() => _ml.Rbe.LoadTextClassification(new MemoryStream(bytes))).Message);
    }

    [Fact]
    public void ANewerVersionOfTheComponentIsNamed()
    {
        byte[] inner = ComponentFile.Read(new MemoryStream(Bytes(Toy.Fit(_ml, Toy.Binary(_ml), o => o.Epochs = 1))),
            TextClassificationTransformer.Name, reader =>
        {
            using MemoryStream all = new();
            reader.BaseStream.CopyTo(all);
            return all.ToArray();
        });
        inner[0] = 7;
        Assert.Contains("version 7 of the component",
            Assert.Throws<RbeFileException>(() => _ml.Rbe.LoadTextClassification(new MemoryStream(Wrap(inner)))).Message);
    }

    [Fact]
    public void ValuesThatCannotBeAreRefusedThoughTheChecksumsAgree()
    {
        TextClassificationTransformer model = Toy.Fit(_ml, Toy.Multiclass(_ml), o => o.Epochs = 1);
        byte[] inner = ComponentFile.Read(new MemoryStream(Bytes(model)), TextClassificationTransformer.Name, reader =>
        {
            using MemoryStream all = new();
            reader.BaseStream.CopyTo(all);
            return all.ToArray();
        });
        Assert.Equal(Bytes(model), Wrap(inner));

        // The count of classes follows the four names behind the summary.
        int classes = inner.AsSpan().IndexOf("Probability"u8) + "Probability".Length;
        Assert.Equal(3, BitConverter.ToInt32(inner, classes));
        foreach (int count in (int[])[0, 1, 2, 4, int.MaxValue, -1])
        {
            byte[] changed = [.. inner];
            BitConverter.GetBytes(count).CopyTo(changed, classes);
            Assert.ThrowsAny<RbeException>(() => _ml.Rbe.LoadTextClassification(new MemoryStream(Wrap(changed))));
        }
    }

    [Fact]
    public void DamagedZipsAreRefused()
    {
        IDataView data = Toy.Binary(_ml);
        using MemoryStream zip = new();
        _ml.Model.Save(Toy.Fit(_ml, data, o => o.Epochs = 1), data.Schema, zip);
        Assert.Equal("RbeFileException", Load(bytes => bytes[^20] ^= 1));
        Assert.Equal("RbeFileException", Load(bytes => bytes[bytes.AsSpan().IndexOf("RBEMLNET"u8) + 8] = 7));

        string Load(Action<byte[]> damage)
        {
            using MemoryStream copy = new();
            copy.Write(zip.ToArray());
            using (ZipArchive archive = new(copy, ZipArchiveMode.Update, leaveOpen: true))
            {
                using Stream entry = archive.Entries.Single(e => e.Name == "Rbe.bin").Open();
                byte[] bytes = new byte[entry.Length];
                entry.ReadExactly(bytes);
                damage(bytes);
                entry.Position = 0;
                entry.Write(bytes);
            }

            copy.Position = 0;
            Exception? error = Record.Exception(() => new MLContext().UseRbe().Model.Load(copy, out _));
            while (error is { InnerException: { } inner }) error = inner;
            return error?.GetType().Name ?? "nothing";
        }
    }

    private static byte[] Bytes(TextClassificationTransformer model)
    {
        using MemoryStream stream = new();
        model.Save(stream);
        return stream.ToArray();
    }

    private static byte[] Wrap(byte[] inner)
    {
        using MemoryStream stream = new();
        ComponentFile.Write(stream, TextClassificationTransformer.Name, writer => writer.Write(inner));
        return stream.ToArray();
    }
}
