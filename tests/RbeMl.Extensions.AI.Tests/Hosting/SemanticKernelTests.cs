using Microsoft.Extensions.DependencyInjection;
using Microsoft.SemanticKernel;
using Microsoft.SemanticKernel.ChatCompletion;
using RbeMl.Extensions.AI.Tests.Support;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Tests.Files;

namespace RbeMl.Extensions.AI.Tests.Hosting;

/// <summary>Semantic Kernel with our client as its service.</summary>
public sealed class SemanticKernelTests
{
    [Fact]
    public async Task A_kernel_answers_and_streams()
    {
        using TemporaryFolder folder = new();
        using ModelBundle bundle = SmallChat.Create();
        ModelFile.Save(folder.File("tiny.rbe"), bundle.Model, bundle.Tokenizer);
        IKernelBuilder builder = Kernel.CreateBuilder();
        builder.Services.AddRbeChat(chat => chat.Path = folder.File("tiny.rbe"));
        Kernel kernel = builder.Build();
        KernelFunction function = kernel.CreateFunctionFromPrompt("Say {{$what}}",
            new PromptExecutionSettings { ExtensionData = new Dictionary<string, object> { ["max_tokens"] = 8, ["seed"] = 4 } });
        KernelArguments arguments = new() { ["what"] = "yes" };
        string expected = SmallChat.Expected(bundle, "Say yes", new GenerationOptions { MaxTokens = 8, Seed = 4 });
        Assert.Equal(expected, (await function.InvokeAsync(kernel, arguments)).GetValue<ChatResponse>()!.Text);
        List<string> parts = [];
        await foreach (ChatResponseUpdate part in function.InvokeStreamingAsync<ChatResponseUpdate>(kernel, arguments)) parts.Add(part.Text);
        Assert.Equal(expected, string.Concat(parts));
    }

    [Fact]
    public async Task A_client_is_a_chat_completion_service()
    {
        using ModelBundle bundle = SmallChat.Create();
        using RbeChatClient client = new(bundle, new RbeChatOptions { MaxOutputTokens = 5 });
        IChatCompletionService service = client.AsChatCompletionService();
        ChatHistory history = new("be kind");
        history.AddUserMessage("hello");
        ChatMessageContent answer = await service.GetChatMessageContentAsync(history);
        Assert.Equal(SmallChat.Expected(bundle, "be kind\nhello", new GenerationOptions { MaxTokens = 5 }), answer.Content);
    }
}
